"""The outbox and its couriers: nothing is lost silently, nothing grows without end, nobody waits for another's broken line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event as Flag

import pytest
from waiting import wait_until

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.notify.courier import Courier, Refused, Unreachable
from edgekit.apps.vision.notify.message import decoded, encoded, message_of
from edgekit.apps.vision.notify.notifier import Line, Notifier, lines_of
from edgekit.apps.vision.notify.outbox import Outbox, Waiting
from edgekit.apps.vision.notify.settings import Apprise, Notify, Webhook
from edgekit.apps.vision.sources.states import Patience
from edgekit.core.errors import InputError

EVENT = Event(
    type="fall_suspected", rule="fall", camera="yard", start_s=100.0, end_s=None, score=0.9, track=3, severity="high",
    evidence={"angle": 71.5},
)  # fmt: skip
QUICK = Patience(first_delay_s=0.01, longest_delay_s=0.05, jitter=0)


@dataclass
class Pipe:
    """A channel whose other side the test plays: what it takes, and what it says no to."""

    name: str = "pipe"
    taken: list[bytes] = field(default_factory=list)
    down: Flag = field(default_factory=Flag)
    tries: int = 0
    closed: bool = False

    def send(self, waiting: Waiting) -> None:
        self.tries += 1
        if self.down.is_set():
            raise Unreachable("nobody there")
        if waiting.body == b"bad":
            raise Refused("not that")
        self.taken.append(waiting.body)

    def tend(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def filled(outbox: Outbox, *severities: str) -> None:
    for number, severity in enumerate(severities):
        outbox.put("pipe", f"{severity}{number}".encode(), severity=severity, noticed_s=1.0)


def emptied(outbox: Outbox) -> list[str]:
    found = []
    while (waiting := outbox.first("pipe")) is not None:
        found.append(waiting.body.decode())
        outbox.done(waiting)
    return found


def test_a_full_outbox_gives_up_the_oldest_of_the_lowest_severity_and_counts_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", most=4)
    filled(outbox, "low", "high", "low", "medium", "high", "medium", "high", "high", "high")
    counts = outbox.counts("pipe")
    assert counts.waiting == 4 and counts.dropped == {"low": 2, "medium": 2, "high": 1}
    assert emptied(outbox) == ["high4", "high6", "high7", "high8"]
    outbox.close()


def test_one_channels_queue_takes_no_room_from_anothers(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", most=3)
    filled(outbox, "high", "high", "high")
    for _ in range(5):
        outbox.put("other", b"x", severity="high", noticed_s=1.0)
    assert outbox.counts("pipe").waiting == 3 and outbox.counts("pipe").dropped["high"] == 0
    outbox.close()


KILLED = """
import sys, time
from pathlib import Path
from edgekit.apps.vision.notify.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
for number in range(20):
    outbox.put("pipe", b"%d" % number, severity="low", noticed_s=1.0)
print("ready", flush=True)
time.sleep(60)
"""


def test_what_waits_survives_kill_9(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "outbox.db")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline().strip() == "ready"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    outbox = Outbox(tmp_path / "outbox.db")
    assert emptied(outbox) == [str(number) for number in range(20)]
    outbox.close()


def test_a_courier_waits_for_a_line_that_is_down_and_then_delivers_in_order(tmp_path: Path) -> None:
    outbox, pipe = Outbox(tmp_path / "outbox.db"), Pipe()
    pipe.down.set()
    courier = Courier(outbox, pipe, patience=QUICK)
    courier.start()
    filled(outbox, "low", "high", "medium")
    wait_until(lambda: pipe.tries >= 4, "it keeps trying")
    assert courier.status().trouble == "nobody there" and pipe.taken == []
    pipe.down.clear()
    wait_until(lambda: len(pipe.taken) == 3, "everything arrives")
    assert pipe.taken == [b"low0", b"high1", b"medium2"]
    wait_until(lambda: not courier.status().trouble, "the trouble is over")
    courier.stop()
    assert pipe.closed and outbox.counts("pipe").sent == 3
    outbox.close()


def test_what_is_refused_for_good_holds_up_nothing_and_is_counted(tmp_path: Path) -> None:
    outbox, pipe = Outbox(tmp_path / "outbox.db"), Pipe()
    outbox.put("pipe", b"bad", severity="high", noticed_s=1.0)
    outbox.put("pipe", b"good", severity="high", noticed_s=1.0)
    courier = Courier(outbox, pipe, patience=QUICK)
    courier.start()
    wait_until(lambda: pipe.taken == [b"good"], "the next one arrives")
    courier.stop()
    assert (outbox.counts("pipe").refused, outbox.counts("pipe").sent) == (1, 1)
    outbox.close()


def test_latency_counts_from_the_notice_across_a_restart_and_never_below_zero(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.put("pipe", b"a", severity="low", noticed_s=990.0)
    outbox.put("pipe", b"b", severity="low", noticed_s=5000.0)  # the clock was set back since
    outbox.close()
    outbox, measured = Outbox(tmp_path / "outbox.db"), list[float]()
    courier = Courier(outbox, Pipe(), clock=lambda: 1000.0, delivered=lambda name, latency_s: measured.append(latency_s))
    courier.start()
    wait_until(lambda: len(measured) == 2, "both are delivered")
    courier.stop()
    assert measured == [10.0, 0.0] and courier.status().latencies_s == (10.0, 0.0)
    outbox.close()


def test_a_damaged_outbox_is_set_aside_and_what_can_be_read_of_it_still_goes_out(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, most=10_000)
    for number in range(400):
        outbox.put("pipe", b"%03d" % number + bytes(500), severity="low", noticed_s=1.0)
    outbox.close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    outbox = Outbox(path)
    saved = emptied(outbox)
    assert len(saved) > 100 and saved == sorted(saved)
    assert list(tmp_path.glob("outbox.db.damaged-*"))
    outbox.close()


def test_each_channel_gets_what_is_severe_enough_for_it(tmp_path: Path) -> None:
    quiet, loud = Pipe("quiet"), Pipe("loud")
    notifier = Notifier(
        Outbox(tmp_path / "o.db"), [Line(channel=quiet, least="high"), Line(channel=loud, least="low")], patience=QUICK
    )
    notifier.start()
    notifier.tell(replace(EVENT, severity="low"))
    notifier.tell(EVENT, snapshot="a.jpg")
    wait_until(lambda: (len(quiet.taken), len(loud.taken)) == (1, 2), "both channels have theirs")
    notifier.close()
    assert decoded(quiet.taken[0]).event.severity == "high"


def test_a_disk_that_takes_nothing_more_does_not_stop_the_camera_and_is_counted(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db")
    notifier = Notifier(outbox, [Line(channel=Pipe(), least="low")])
    outbox._database.execute("PRAGMA max_page_count = 1")
    for _ in range(200):
        notifier.tell(EVENT)
    assert notifier.unqueued > 0
    notifier.close()


def test_a_message_is_the_same_after_the_outbox_and_says_what_happened() -> None:
    over = message_of(replace(EVENT, end_s=112.0), clip="a.mp4", snapshot="a.jpg")
    assert decoded(encoded(over)) == over
    assert (over.phase, over.title) == ("end", "yard: fall suspected")
    assert over.text == "fall (high) ended after 12 s, score 0.90; angle 71.5"
    assert over.id == message_of(EVENT).id
    with pytest.raises(InputError):
        decoded(b"{}")


@pytest.mark.filterwarnings("ignore:.*imghdr.*:DeprecationWarning")  # apprise imports it
def test_secrets_come_from_the_environment_and_a_missing_one_is_named_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    hook = Notify(webhooks=(Webhook(url="https://example.org/x", secret_env="HOOK_SECRET"),))
    with pytest.raises(InputError, match="HOOK_SECRET"):
        lines_of(hook, (), tmp_path)
    pytest.importorskip("apprise", reason="apprise (extra notify) is not installed")
    monkeypatch.setenv("PLACES", "json://127.0.0.1:1/x nonsense-hunter2")
    with pytest.raises(InputError) as said:
        lines_of(Notify(apprise=Apprise(urls_env="PLACES")), (), tmp_path)
    assert "hunter2" not in said.value.message + said.value.hint
