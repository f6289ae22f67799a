"""What goes wrong on a machine that is left on: full disks, damaged databases, clocks that jump. No event is lost silently."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.recording.clips import ClipRecorder
from edgekit.apps.vision.recording.ledger import Ledger
from edgekit.apps.vision.recording.store import EventStore, Media
from edgekit.apps.vision.watching import camera as live

pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
EVENT = Event(
    type="presence", rule="r", camera="yard", start_s=100.0, end_s=None, score=0.9, track=1, severity="low", evidence={"n": 1}
)
LARGE = replace(EVENT, evidence={"text": "x" * 2000})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_full_disk_events_are_held_and_written_when_there_is_room(small_disk: Path) -> None:
    store = EventStore(small_disk / "events.db")
    ledger = Ledger(store)
    (small_disk / "clip.mp4").write_bytes(bytes(600_000))
    numbers = [ledger.add(replace(LARGE, start_s=float(number))) for number in range(300)]
    held = [number for number in numbers if number < 0]
    assert held and ledger.unwritten == len(held)
    ledger.end(held[0], replace(LARGE, end_s=7.0))
    (small_disk / "clip.mp4").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    ledger.flush()
    ledger.end(held[-1], replace(LARGE, end_s=9.0))
    assert ledger.unwritten == 0 and ledger.lost == 0
    found = store.latest(500)
    assert len(found) == 300
    assert sorted(one.event.end_s for one in found if one.event.end_s is not None) == [7.0, 9.0]
    store.close()


def test_a_full_disk_is_helped_by_deleting_old_recordings_first(small_disk: Path) -> None:
    store, asked = EventStore(small_disk / "events.db"), list[int]()
    (small_disk / "old.mp4").write_bytes(bytes(850_000))

    def make_room() -> None:
        asked.append(1)
        (small_disk / "old.mp4").unlink(missing_ok=True)

    ledger = Ledger(store, make_room)
    numbers = [ledger.add(LARGE) for _ in range(30)]
    assert asked and all(number > 0 for number in numbers) and ledger.unwritten == 0
    store.close()


def test_a_full_disk_ends_the_clip_and_not_the_camera(small_disk: Path, clip: Path) -> None:
    from edgekit.apps.vision.sources.address import parse_address
    from edgekit.apps.vision.sources.container import ContainerCapture

    (small_disk / "fill").write_bytes(bytes(1 << 20))
    recorder = ClipRecorder()
    capture = ContainerCapture(parse_address(str(clip)), tap=recorder)
    frames = 0
    while capture.read() is not None:
        frames += 1
        recorder.start(small_disk / "event.mp4")
    recorder.stop()
    capture.close()
    assert frames == 20 and recorder.failed


def test_memory_is_bounded_too_and_what_is_given_up_is_counted(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    store._database.execute("PRAGMA query_only = 1")
    ledger = Ledger(store, most=3)
    for severity in ("low", "high", "low", "high", "high"):
        ledger.add(replace(EVENT, severity=severity))
    assert (ledger.unwritten, ledger.lost) == (3, 2)
    store._database.execute("PRAGMA query_only = 0")
    ledger.flush()
    assert [one.event.severity for one in store.latest()] == ["high"] * 3
    store.close()


def test_a_database_that_is_damaged_while_it_is_used_is_opened_anew_and_nothing_new_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = EventStore(path)
    ledger = Ledger(store)
    for number in range(300):
        ledger.add(replace(LARGE, start_s=float(number)))
    store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    for number in range(300, 330):
        ledger.add(replace(LARGE, start_s=float(number)), Media(clip="a.mp4"))
    assert ledger.unwritten == 0
    starts = {one.event.start_s for one in store.latest(1000)}
    store.close()
    assert len(starts & set(map(float, range(300, 330)))) >= 29
    reopened = EventStore(path)
    assert {one.event.start_s for one in reopened.latest(1000)} >= set(map(float, range(301, 330)))
    reopened.close()


def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = EventStore(path)
    other = sqlite3.connect(path)
    store._database.execute("PRAGMA busy_timeout = 50")
    other.execute("BEGIN IMMEDIATE")
    ledger = Ledger(store)
    assert ledger.add(EVENT) < 0 and ledger.unwritten == 1
    other.rollback()
    other.close()
    ledger.flush()
    assert ledger.unwritten == 0 and len(store.latest()) == 1
    store.close()


@pytest.mark.parametrize("jump_s", [-86_400.0, 3e8])
def test_a_clock_that_jumps_while_an_event_lasts_does_not_change_how_long_it_lasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    from edgekit.apps.vision.analysis.analyst import Finds
    from edgekit.apps.vision.rules.settings import Camera, Detect
    from edgekit.apps.vision.sources.address import parse_address

    class Blind:
        labels = ("person",)

        def __call__(self, frame: object, *_: object) -> object:
            raise AssertionError("no frame is looked at here")

    blind: Finds = Blind()  # type: ignore[assignment]
    store = EventStore(tmp_path / "events.db")
    source = parse_address("synthetic:64x48")
    camera = Camera(name="yard", source=source, detect=Detect(), zones={}, lines={}, rules=())
    watch = live.CameraWatch(camera, blind, None, store, tmp_path)
    monkeypatch.setattr(live, "time", lambda: 1e9)
    watch._one(replace(EVENT, start_s=10.0), 12.0, None)
    monkeypatch.setattr(live, "time", lambda: 1e9 + jump_s)
    watch._one(replace(EVENT, start_s=10.0, end_s=15.0), 16.0, None)
    (stored,) = store.latest()
    assert (stored.event.start_s, stored.event.end_s) == (1e9 - 2.0, 1e9 + 3.0)
    store.close()
