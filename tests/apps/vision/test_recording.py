"""What is kept: clips, events, and no more than allowed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.recording.clips import ClipRecorder
from edgekit.apps.vision.recording.retention import Clip, Limits, clips_in, doomed, sweep
from edgekit.apps.vision.recording.store import SCHEMA, EventStore, Media, Place, Query
from edgekit.apps.vision.rules.settings import Camera, Detect, Rule
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.sources.container import ContainerCapture
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.apps.vision.watching.camera import DATABASE, CameraWatch
from edgekit.core.errors import NotFound

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
EVENT = Event(
    type="presence",
    rule="r",
    camera="yard",
    start_s=100.0,
    end_s=None,
    score=0.9,
    track=1,
    severity="low",
    evidence={"dwell_s": 1.5},
)


def decoded(path: Path) -> int:
    """How many frames of the clip decode."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_clip_begins_with_what_came_before_and_is_not_encoded_again(clip: Path, tmp_path: Path) -> None:
    recorder = ClipRecorder(pre_roll_s=0.6)
    capture = ContainerCapture(parse_address(str(clip)), tap=recorder)
    for _ in range(12):
        capture.read()
    assert recorder.start(tmp_path / "out" / "event.mp4")
    assert not recorder.start(tmp_path / "second.mp4")
    while capture.read() is not None:
        pass
    recorder.stop()
    capture.close()
    kept = decoded(tmp_path / "out" / "event.mp4")
    assert 14 <= kept < 20  # the last eight frames, six and more before them, not all of the first ones
    with av.open(str(clip)) as original, av.open(str(tmp_path / "out" / "event.mp4")) as copy:
        packets = [{bytes(packet) for packet in container.demux(video=0) if packet.size} for container in (original, copy)]
    assert packets[1] <= packets[0]


def test_the_ring_is_bounded_in_bytes(clip: Path) -> None:
    recorder = ClipRecorder(pre_roll_s=1e9, ring_bytes=2000)
    capture = ContainerCapture(parse_address(str(clip)), tap=recorder)
    while capture.read() is not None:
        assert recorder._held_bytes <= 2000 + 4000  # one group of pictures more at most
    capture.close()


def test_a_clip_that_cannot_be_written_stops_nothing(clip: Path) -> None:
    recorder = ClipRecorder()
    capture = ContainerCapture(parse_address(str(clip)), tap=recorder)
    capture.read()
    assert not recorder.start(Path("/proc/no/such.mp4"))
    assert recorder.failed
    assert capture.read() is not None


WRITER = """
import sys, time
from pathlib import Path
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.recording.clips import ClipRecorder
from edgekit.apps.vision.recording.store import EventStore, Media
from edgekit.apps.vision.rules.settings import Camera, Detect, Rule
from edgekit.apps.vision.sources.container import ContainerCapture
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.tracks import Boxes
clip, folder = sys.argv[1], Path(sys.argv[2])
recorder = ClipRecorder()
capture = ContainerCapture(parse_address(clip), tap=recorder)
for _ in range(3): capture.read()
recorder.start(folder / "killed.mp4")
EventStore(folder / "events.db").add(Event(type="presence", rule="r", camera="c", start_s=1.0, end_s=None, score=1.0, track=1, severity="low", evidence={}), Media(clip="killed.mp4"))
for _ in range(14): capture.read()
print("ready", flush=True)
time.sleep(60)
"""


def test_killed_while_recording_the_clip_plays_and_the_event_is_there(clip: Path, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(clip), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "ready"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert decoded(tmp_path / "killed.mp4") >= 10
    store = EventStore(tmp_path / "events.db")
    assert [stored.clip for stored in store.latest()] == ["killed.mp4"]
    store.close()


def test_events_are_written_ended_and_forgotten(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    number = store.add(EVENT, Media(clip="a.mp4"))
    store.end(number, Event(**{name: getattr(EVENT, name) for name in EVENT.__slots__} | {"end_s": 104.0, "score": 0.95}))
    (stored,) = store.latest()
    assert (stored.event.end_s, stored.event.score, stored.event.evidence, stored.clip) == (
        104.0,
        0.95,
        {"dwell_s": 1.5},
        "a.mp4",
    )
    assert store.forget(100.5) == 1
    assert store.latest() == []
    store.close()


def event(**changed: object) -> Event:
    return replace(EVENT, **changed)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = EventStore(tmp_path / "events.db")
    yield opened
    opened.close()


def test_events_are_found_by_what_they_are_and_when(store: EventStore) -> None:
    for number in range(6):
        camera, severity = ("yard", "high") if number % 2 else ("gate", "low")
        store.add(event(camera=camera, severity=severity, start_s=100.0 + number))
    assert [one.event.start_s for one in store.find(Query(camera="yard"))] == [105.0, 103.0, 101.0]
    assert [one.event.start_s for one in store.find(Query(severity="low", since_s=101.0, until_s=104.0))] == [102.0]
    assert store.find(Query(rule="' OR 1 --")) == []
    assert store.first_s(Query(camera="yard")) == 101.0
    assert store.first_s(Query(camera="nowhere")) is None
    assert store.known("camera") == ["gate", "yard"]
    assert store.histogram(Query(), 100.0, 2.0) == {(bin, severity): 1 for bin in range(3) for severity in ("low", "high")}


def test_older_events_follow_the_last_one_shown_also_when_many_began_at_once(store: EventStore) -> None:
    for _ in range(7):
        store.add(EVENT)
    first = store.find(Query(), 3)
    place = Place(start_s=first[-1].event.start_s, id=first[-1].id)
    rest = store.find(Query(), after=place)
    assert [one.id for one in (*first, *rest)] == [7, 6, 5, 4, 3, 2, 1]


def test_what_is_kept_outlives_its_time_and_a_clip_goes_with_the_last_event_that_shows_it(store: EventStore) -> None:
    box = (0.1, 0.2, 0.3, 0.4)
    one, other = (store.add(EVENT, Media(clip="a.mp4", clip_at_s=2.5, snapshot=name, box=box)) for name in ("1.jpg", "2.jpg"))
    assert store.get(one).media == Media(clip="a.mp4", clip_at_s=2.5, snapshot="1.jpg", box=box)
    store.keep(one)
    assert store.kept_files() == {"a.mp4", "1.jpg"}
    assert [found.id for found in store.find(Query(kept=True))] == [one]
    assert store.delete(other) == Media(clip="", snapshot="2.jpg")
    assert store.forget(1e9) == 0
    assert store.delete(one) == Media(clip="a.mp4", snapshot="1.jpg")
    with pytest.raises(NotFound, match="no event 1"):
        store.get(one)


def test_a_database_of_the_first_version_is_read_and_written_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "events.db")) as old:
        old.executescript(SCHEMA)
        old.execute("INSERT INTO events VALUES (1, 'yard', 'r', 'presence', 'low', 1.0, 2.0, 0.5, 1, '{}', 'a.mp4')")
        old.commit()
    with closing(EventStore(tmp_path / "events.db")) as store:
        store.add(EVENT, Media(snapshot="b.jpg"))
        assert [one.media for one in store.latest()] == [Media(snapshot="b.jpg"), Media(clip="a.mp4")]


@pytest.mark.parametrize("damage", [b"", b"this is no database at all, but long enough to be read as one" * 40])
def test_a_damaged_database_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "events.db"
    store = EventStore(path)
    for _ in range(200):
        store.add(EVENT)
    store.close()
    whole = path.read_bytes()
    path.write_bytes(damage or whole[: len(whole) // 2])
    store = EventStore(path)
    store.add(EVENT)
    saved = store.latest(500)
    assert saved[0].event == EVENT and all(one.event == EVENT for one in saved)
    assert len(saved) == 1 if damage else 20 < len(saved) < 201
    store.close()
    assert list(tmp_path.glob("events.db.damaged-*"))


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
    first, second = EventStore(tmp_path / "events.db"), EventStore(tmp_path / "events.db")
    first.add(EVENT)
    second.add(EVENT)
    assert len(first.latest()) == 2
    first.close()
    second.close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as third:
        assert third.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_oldest_clips_go_first_by_age_by_bytes_and_by_free_space() -> None:
    clips = [Clip(path=Path(f"{number}.mp4"), size_bytes=100, written_s=number * 86400.0) for number in range(10)]
    now = 10 * 86400.0

    def gone(free: int = 10**9, **limits: float) -> int:
        return len(doomed(clips, Limits(**{"days": 1e6, "total_bytes": 10**9, "free_bytes": 0} | limits), now, free))  # type: ignore[arg-type]

    assert gone() == 0
    assert gone(days=7.5) == 3
    assert gone(total_bytes=450) == 6
    assert gone(free_bytes=1000, free=700) == 3
    assert gone(free_bytes=10**9, free=0) == 10


TWO_WEEKS = Limits(days=14.0, total_bytes=10**9, free_bytes=0)


def test_sweeping_touches_clips_only(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"x" * 10)
    os.utime(tmp_path / "a.mp4", (0, 0))
    assert [
        clip.path.name for clip in sweep([tmp_path], TWO_WEEKS, 15 * 86400 + (tmp_path / "b.mp4").stat().st_mtime - 86400 * 14)
    ] == ["a.mp4"]
    assert [clip.path.name for clip in clips_in([tmp_path])] == ["b.mp4"]
    assert (tmp_path / "notes.txt").exists()


def test_what_is_kept_is_not_swept(tmp_path: Path) -> None:
    for name in ("kept.mp4", "kept.jpg", "old.mp4", "old.jpg"):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (0, 0))
    gone = sweep([tmp_path], TWO_WEEKS, 1e9, spared={"kept.mp4", "kept.jpg"})
    assert {clip.path.name for clip in gone} == {"old.mp4", "old.jpg"}


def test_a_watched_camera_leaves_events_and_clips(make_clip, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    class Block:
        labels = ("person",)

        def __call__(self, frame: Frame, stages: Stages | None = None) -> Boxes:
            rows, columns = np.nonzero(frame.luma() < 90)
            box = np.array([[columns.min(), rows.min(), columns.max(), rows.max()]], np.float64)
            return Boxes(boxes=box, scores=np.array([0.9]), class_ids=np.array([0]))

    images = []
    for number in range(60):
        image = np.full((120, 160, 3), 200, np.uint8)
        image[40:100, 4 + 2 * number : 24 + 2 * number] = 30
        images.append(image)
    recording = parse_address(str(make_clip(tmp_path / "walk.mp4", images, rate=30)))
    rules = (Rule(name="somebody"),)
    camera = Camera(name="yard", source=recording, detect=Detect(fps=100), zones={}, lines={}, rules=rules)
    store = EventStore(tmp_path / DATABASE)
    watch = CameraWatch(camera, Block(), None, store, tmp_path)
    watch.start()
    watch._thread.join(30)
    assert watch.done
    watch.stop()
    stored = store.latest()
    store.close()
    assert stored and all(one.event.end_s is not None for one in stored)
    assert all((tmp_path / "snapshots" / one.media.snapshot).is_file() for one in stored)
    assert decoded(tmp_path / "clips" / stored[-1].media.clip) > 0
    assert stored[-1].media.box is not None


def test_a_camera_that_sends_no_encoded_stream_leaves_clips_too(tmp_path: Path) -> None:
    """Ribbon and USB cameras give raw pictures: their clips are encoded here, with what came before the event."""
    from cameras import FigureFinder

    source = parse_address("synthetic:320x180")
    camera = Camera(name="yard", source=source, detect=Detect(), zones={}, lines={}, rules=(Rule(name="stays", dwell_s=1.5),))
    store, began = EventStore(tmp_path / DATABASE), threading.Event()
    watch = CameraWatch(camera, FigureFinder(), None, store, tmp_path, told=lambda event, media: began.set())
    watch.start()
    assert began.wait(60) and watch.failed == ""
    watch.stop()
    (stored,) = store.latest()
    store.close()
    with av.open(str(tmp_path / "clips" / stored.media.clip)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) > 10, "more than a second before the rule told of it"


@pytest.mark.parametrize(
    ("source", "encoded"), [("csi:0", False), ("argus:0", False), ("/dev/video0", False), ("rtsp://camera/1", True)]
)
def test_only_what_is_sent_encoded_is_kept_as_it_came(source: str, encoded: bool) -> None:
    camera = Camera(name="yard", source=parse_address(source), detect=Detect(), zones={}, lines={}, rules=())
    assert camera.encoded_here is not encoded
