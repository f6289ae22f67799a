"""MQTT against a real broker on loopback: what is told, what is retained, and a broker that is gone for a while."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from broker import MOSQUITTO, broker, listening
from certificates import signed
from waiting import wait_until

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.notify.mqtt import Mqtt
from edgekit.apps.vision.notify.notifier import Line, Notifier
from edgekit.apps.vision.notify.outbox import Outbox
from edgekit.apps.vision.notify.settings import Mqtt as Settings
from edgekit.apps.vision.notify.topics import slug
from edgekit.apps.vision.rules.settings import Camera, Detect, Rule
from edgekit.apps.vision.sources.address import Address
from edgekit.apps.vision.sources.states import Patience
from edgekit.core.errors import InputError

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt (extra notify) is not installed")
QUICK = Patience(first_delay_s=0.05, longest_delay_s=0.2, jitter=0)
YARD = Camera(
    name="yard",
    source=Address(kind="synthetic", target="", shown="synthetic:"),
    detect=Detect(),
    zones={},
    lines={},
    rules=(Rule(name="at the door/#"), Rule(name="fall", activity="fall_suspected")),
)
EVENT = Event(
    type="presence", rule="at the door/#", camera="yard", start_s=100.0, end_s=None, score=0.9, track=3, severity="low",
    evidence={"dwell_s": 2.0},
)  # fmt: skip


def notifier(folder: Path, port: int, *, most: int = 100, **more: object) -> Notifier:
    settings = Settings(host="127.0.0.1", port=port, prefix="home/edge", **more)  # type: ignore[arg-type]
    channel = Mqtt(settings, "hunter2", (YARD,), folder)
    return Notifier(Outbox(folder / "outbox.db", most=most), [Line(channel=channel, least="low")], patience=QUICK)


def test_home_assistant_finds_the_site_and_events_come_with_their_states(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8 a picture")
    with broker(tmp_path) as running, listening(running.port) as heard:
        told = notifier(tmp_path, running.port)
        told.start()
        wait_until(lambda: heard.last.get("home/edge/available") == b"online", "it says that it is there")
        wait_until(lambda: heard.last.get("home/edge/yard/status/detect") == b"offline", "no frame has come yet")
        told.seen("yard", True)
        wait_until(lambda: heard.last.get("home/edge/yard/status/detect") == b"online", "frames come")
        told.tell(EVENT, snapshot="a.jpg")
        wait_until(lambda: heard.last.get("home/edge/yard/at_the_door") == b"ON", "somebody is there")
        wait_until(lambda: heard.last.get("home/edge/yard/snapshot") == b"\xff\xd8 a picture", "the picture follows")
        told.tell(replace(EVENT, end_s=105.0))
        wait_until(lambda: heard.last.get("home/edge/yard/at_the_door") == b"OFF", "nobody is there any more")
        wait_until(lambda: len(heard.of("home/edge/events")) == 2, "both events came")
        told.close()
        wait_until(lambda: heard.last["home/edge/available"] == b"offline", "it says goodbye")
    check_discovery(json.loads(heard.last["homeassistant/device/home_edge/config"]))
    began, ended = (json.loads(each) for each in heard.of("home/edge/events"))
    assert (began["type"], ended["type"]) == ("new", "end")
    assert began["after"]["id"] == ended["after"]["id"] and ended["before"]["end_time"] is None
    assert ended["after"]["end_time"] == 105.0 and began["after"]["has_snapshot"]


SHARED = {"p", "name", "unique_id", "availability_topic", "device_class"}
PLATFORMS = {
    "binary_sensor": {"needs": {"state_topic"}, "may": {"payload_on", "payload_off"}},
    "image": {"needs": {"image_topic"}, "may": {"content_type"}},
}
CLASSES = {"connectivity", "occupancy", "safety"}
"""What Home Assistant's documentation of MQTT discovery, binary sensors and images asks for and knows, as far as it is used here."""


def check_discovery(config: dict[str, dict[str, dict[str, str]]]) -> None:
    assert config.keys() == {"dev", "o", "cmps", "qos"}
    assert config["dev"]["ids"] and config["o"]["name"] == "edgekit"
    parts = config["cmps"]
    assert {part["p"] for part in parts.values()} == PLATFORMS.keys()
    for part in parts.values():
        asked = PLATFORMS[part["p"]]
        assert SHARED - {"device_class"} | asked["needs"] <= part.keys() <= SHARED | asked["needs"] | asked["may"]
        assert part.get("device_class", "safety") in CLASSES
    assert all(part["availability_topic"] == "home/edge/available" for part in parts.values())
    assert parts["home_edge_yard_fall"]["device_class"] == "safety"
    assert {name: part["unique_id"] for name, part in parts.items()} == {name: name for name in parts}


def test_what_is_retained_greets_whoever_comes_later(tmp_path: Path) -> None:
    with broker(tmp_path) as running:
        told = notifier(tmp_path, running.port)
        told.start()
        told.tell(EVENT)
        wait_until(lambda: told.status()[0].counts.sent == 1, "the event is delivered")
        with listening(running.port) as late:
            wait_until(lambda: late.last.get("home/edge/yard/at_the_door") == b"ON", "the state is there")
            assert late.last["home/edge/available"] == b"online" and "homeassistant/device/home_edge/config" in late.last
            assert not late.of("home/edge/events"), "events are not retained"
        told.close()


def test_events_of_a_long_outage_are_queued_bounded_and_delivered_and_states_are_said_again(tmp_path: Path) -> None:
    with broker(tmp_path) as running:
        told = notifier(tmp_path, running.port, most=20)
        told.start()
        told.tell(EVENT)
        wait_until(lambda: told.status()[0].counts.sent == 1, "the first event is delivered")
        running.kill()
        for number in range(30):
            told.tell(replace(EVENT, start_s=200.0 + number, end_s=300.0 + number, severity="high" if number < 5 else "low"))
        wait_until(lambda: told.status()[0].failures >= 3, "it has tried several times")
        status = told.status()[0]
        assert status.counts.waiting == 20 and status.counts.dropped == {"low": 10, "medium": 0, "high": 0}
        assert f"127.0.0.1:{running.port}" in status.trouble
        running.start()
        with listening(running.port) as heard:
            wait_until(lambda: told.status()[0].counts.waiting == 0, "the queue is empty")
            wait_until(lambda: heard.last.get("home/edge/yard/at_the_door") == b"ON", "the open event's state is said again")
        assert told.status()[0].counts.sent == 21
        told.close()


DYING = """
import os, sys
from pathlib import Path
from edgekit.apps.vision.notify.mqtt import Mqtt
from edgekit.apps.vision.notify.settings import Mqtt as Settings
channel = Mqtt(Settings(host="127.0.0.1", port=int(sys.argv[1])), "", (), Path("."))
channel.tend()
print("connected", flush=True)
sys.stdin.read()
"""


def test_the_broker_says_offline_for_one_that_was_killed(tmp_path: Path) -> None:
    with broker(tmp_path) as running, listening(running.port) as heard:
        command = [sys.executable, "-c", DYING, str(running.port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None and child.stdout.readline().strip() == "connected"
            wait_until(lambda: heard.last.get("edgekit/available") == b"online", "it is there")
            child.kill()
        wait_until(lambda: heard.last["edgekit/available"] == b"offline", "the last will is read out")


def test_a_wrong_password_is_said_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here (Debian package mosquitto)")
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "edge", "right"], check=True, capture_output=True)
    users.chmod(0o644)
    with broker(tmp_path, users=str(users)) as running:
        told = notifier(tmp_path, running.port, user="edge")
        told.start()
        told.tell(EVENT)
        wait_until(lambda: "let us in" in told.status()[0].trouble, "it says why")
        assert "hunter2" not in told.status()[0].trouble + caplog.text
        assert told.status()[0].counts.waiting == 1
        told.close()


@pytest.mark.parametrize(
    ("name", "level"), [("at the door", "at_the_door"), ("a/b+c#", "a_b_c"), ("Tür", "T_r"), ("#", "rule")]
)
def test_a_rules_name_is_one_level_of_a_topic(name: str, level: str) -> None:
    assert slug(name) == level


def test_the_latency_from_notice_to_the_brokers_word_is_measured(tmp_path: Path) -> None:
    with broker(tmp_path) as running:
        told = notifier(tmp_path, running.port)
        told.start()
        wait_until(lambda: not told.status()[0].failures, "it is connected")
        for number in range(20):
            told.tell(replace(EVENT, start_s=float(number)))
        wait_until(lambda: told.status()[0].counts.sent == 20, "all are delivered")
        assert len(told.status()[0].latencies_s) == 20 and max(told.status()[0].latencies_s) < 10.0
        told.close()


def test_an_encrypted_broker_is_told_when_its_authority_is_the_one_that_was_named(tmp_path: Path) -> None:
    certificate, key, authority = signed(tmp_path / "tls", "home")
    with broker(tmp_path, tls=(certificate, key)) as running, listening(running.port) as heard:
        told = notifier(tmp_path, running.tls_port, tls=True, ca=str(authority))
        told.start()
        told.tell(EVENT)
        wait_until(lambda: heard.of("home/edge/events"), "the event came through")
        told.close()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves the refused socket to the collector
def test_a_broker_with_another_authoritys_certificate_is_told_nothing_and_the_event_waits(tmp_path: Path) -> None:
    certificate, key, _ = signed(tmp_path / "tls", "home")
    _, _, another = signed(tmp_path / "other", "another")
    with broker(tmp_path, tls=(certificate, key)) as running, listening(running.port) as heard:
        told = notifier(tmp_path, running.tls_port, tls=True, ca=str(another))
        told.start()
        told.tell(EVENT)
        wait_until(lambda: told.status()[0].failures >= 2, "it has tried")
        assert "CERTIFICATE_VERIFY_FAILED" in told.status()[0].trouble
        assert told.status()[0].counts.waiting == 1 and not heard.all
        told.close()


def test_an_authority_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nobody\.pem"):
        notifier(tmp_path, 8883, tls=True, ca=str(tmp_path / "nobody.pem"))
