"""One camera watched as it comes, in a thread of its own: events into a database, clips and snapshots beside it, pictures for
whoever looks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic, time
from typing import Any

import numpy as np

from edgekit.apps.vision.analysis.analyst import Analyst, Finds, Look
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.notify.outbox import RANKS
from edgekit.apps.vision.poses.keypoints import Pose, PoseNetwork, Region
from edgekit.apps.vision.recording.clips import ClipRecorder
from edgekit.apps.vision.recording.encoder import Encoder
from edgekit.apps.vision.recording.retention import PICTURE, SUFFIX
from edgekit.apps.vision.recording.store import Box, Media, Writes
from edgekit.apps.vision.rules.settings import Camera, looked_for
from edgekit.apps.vision.showing.overlay import jpeg
from edgekit.apps.vision.showing.pictures import Showing, Veil, unveiled
from edgekit.apps.vision.sources.address import Address
from edgekit.apps.vision.sources.base import Capture, PacketTap
from edgekit.apps.vision.sources.feed import Feed, FeedStatus
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.apps.vision.watching.history import History
from edgekit.apps.vision.watching.watchdog import Watchdog
from edgekit.core.files import write_atomically

log = logging.getLogger(__name__)
CLIPS, SNAPSHOTS, DATABASE = "clips", "snapshots", "events.db"
POST_ROLL_S, LONGEST_CLIP_S = 5.0, 600.0
"""A clip ends so long after its last event, and in any case after ten minutes: an event may last for days."""
RATE_LOOKS = 30
Key = tuple[str, float, "int | None"]
Told = Callable[[Event, Media], None]
Kept = Callable[[Path, str, str], None]
"""Hears of every clip and snapshot that is whole: where it lies, its camera, and the severity of what it shows."""
READ_LIMIT_S, WRITE_LIMIT_S = 60.0, 60.0
"""A read or a write that takes longer hangs: the libraries' own limits are far below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraStatus:
    """What a page shows of a camera: its source, looks a second, how many things are followed, and why it stopped, if it did."""

    feed: FeedStatus
    fps: float
    followed: int
    failed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """An event that lasts: its number, and what turns the source's time into seconds since 1970."""

    number: int
    offset_s: float
    media: Media


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    """The clip that is being written, and when it began in the source's time."""

    name: str
    begun_s: float
    started_s: float
    severity: str


class CameraWatch:
    """One camera: its feed, its analyst, its recorder. `told` gets every event as it begins and as it ends, in seconds since 1970."""

    def __init__(
        self,
        camera: Camera,
        detector: Finds,
        pose: PoseNetwork | None,
        store: Writes,
        folder: Path,
        told: Told = lambda event, media: None,
        veil: Veil = unveiled,
        kept: Kept = lambda path, camera, severity: None,
    ) -> None:
        self._wanted, self._pose = camera, pose
        self._detector = Chosen(detector, looked_for(camera))
        self._store, self._folder, self._told, self._kept = store, folder, told, kept
        self.reading = Watchdog(f"camera {camera.name}", READ_LIMIT_S)
        self.writing = Watchdog(f"recorder {camera.name}", WRITE_LIMIT_S)
        self._recorder = ClipRecorder(watchdog=self.writing)
        self._encoder = Encoder(self._recorder, camera.detect.fps) if camera.encoded_here else None
        tap = None if camera.encoded_here else self._recorder
        self.feed, self.stages = Feed(camera.source, tap=tap, opener=self._opened, watchdog=self.reading), Stages()
        self.history = History(self.stages)
        self.showing = Showing(detector.labels, self.stages, veil)
        self.labels, self.segments = detector.labels, bool(getattr(detector, "segments", False))
        self.look: Look | None = None
        """The newest look."""
        self._open: dict[Key, _Open] = {}
        self._clip: _Clip | None = None
        self._record_until_s, self._count, self._looks = 0.0, 0, 0
        self._looked: deque[float] = deque(maxlen=RATE_LOOKS)
        self._failed = ""
        self._stopped = Flag()
        self._thread = Thread(target=self._watch, name=f"camera {camera.name}", daemon=True)

    @property
    def failed(self) -> str:
        """Why its thread ended before its time; empty while it is well."""
        return self._failed

    @property
    def camera(self) -> Camera:
        """The settings it goes by, from the next frame on."""
        return self._wanted

    @property
    def done(self) -> bool:
        """The source has ended and everything it showed was looked at."""
        return not self._thread.is_alive()

    def start(self) -> None:
        self.feed.start()
        self.showing.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self.feed.stop()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self.showing.stop()

    def change(self, camera: Camera) -> None:
        """Go on by other settings, from any thread; the source must be the same."""
        assert camera.source == self._wanted.source, "another source is another watch"
        self._wanted = camera

    def status(self) -> CameraStatus:
        """How it is going."""
        look, times = self.look, list(self._looked)
        recent = [at for at in times if monotonic() - at < 5.0]
        fps = (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0
        followed = len(look.people.tracks) if look is not None and recent else 0
        return CameraStatus(feed=self.feed.look(), fps=fps, followed=followed, failed=self._failed)

    def note(self, at_s: float) -> None:
        """Write down for the plots what was done since the note before; called by one thread."""
        self.history.note(at_s, self.feed.look().captured, self._looks)

    def _watch(self) -> None:
        """The thread: a camera that fails for a reason nobody foresaw says so, and the others go on."""
        try:
            self._watch_on()
        except Exception as exc:
            self._failed = f"{type(exc).__name__}: {exc}"
            log.exception("the camera %s stopped", self._wanted.name)
        finally:
            self._end_clip()

    def _watch_on(self) -> None:
        analyst = Analyst(self._wanted, self._detector, self._pose, stages=self.stages, starts=self._starts(0.0))
        due_s, time_s = -1.0, 0.0
        while not self._stopped.is_set() and not self.feed.frames.closed:
            frame, interval = self.feed.frames.take(0.5), 1 / self._wanted.detect.fps
            self.feed.look()
            self._follow(analyst, time_s)
            if frame is None or 0 <= due_s - frame.time_s <= interval:
                continue
            due_s, time_s = frame.time_s + interval * 0.9, frame.time_s
            self._see(analyst, frame)
        self._keep(analyst.finish(), time_s, None)

    def _see(self, analyst: Analyst, frame: Frame) -> None:
        if self._wanted.source.live:
            analyst.starts = self._starts(frame.time_s)
        look = analyst.look(frame)
        self.look = look
        self._looked.append(monotonic())
        self._looks += 1
        self.showing.put(look, analyst.camera)
        if self._encoder is not None:
            with self.stages.timed("encode clip"):
                self._encoder.add(self.showing.picture(look, frame.width), frame.time_s)
        self._keep(look.events, frame.time_s, look)

    def _follow(self, analyst: Analyst, time_s: float) -> None:
        """Take over settings that were changed meanwhile."""
        if analyst.camera is not self._wanted:
            wanted = self._wanted
            self._detector.want(looked_for(wanted))
            self._keep(analyst.change(wanted), time_s, None)

    def _starts(self, time_s: float) -> datetime:
        """The wall clock of the source's time 0: asked anew for live ones, whose machine may have had no clock when it started."""
        given = None if self._wanted.source.live else self._wanted.starts
        return given or datetime.now() - timedelta(seconds=time_s)

    def _keep(self, events: Sequence[Event], time_s: float, look: Look | None) -> None:
        """Write the events down, in times of the world; end the clip when none is open and the last is some seconds ago."""
        for event in events:
            self._one(event, time_s, look)
        if self._open or events:
            self._record_until_s = time_s + POST_ROLL_S
        clip = self._clip
        if clip is not None and (time_s > self._record_until_s or time_s - clip.started_s > LONGEST_CLIP_S):
            self._end_clip()

    def _end_clip(self) -> None:
        """The clip is whole."""
        self._recorder.stop()
        clip, self._clip = self._clip, None
        if clip is not None:
            self._kept(self._folder / CLIPS / clip.name, self._wanted.name, clip.severity)

    def _opened(self, address: Address, tap: PacketTap | None) -> Capture:
        """The source, its masks burned in; its decoder is timed."""
        return open_source(address, tap=tap, masks=self._wanted.masks, stages=self.stages)

    def _one(self, event: Event, time_s: float, look: Look | None) -> None:
        """The event is on the disk before anything else happens with it."""
        key = (event.rule, event.start_s, event.track)
        known = self._open.pop(key, None)
        offset_s = known.offset_s if known else time() - time_s
        end_s = None if event.end_s is None else offset_s + event.end_s
        worldly = replace(event, start_s=offset_s + event.start_s, end_s=end_s)
        media = known.media if known else self._media(event, worldly.start_s, time_s, look)
        if known:
            self._store.end(known.number, worldly)
        else:
            number = self._store.add(worldly, media)
            if event.end_s is None:
                self._open[key] = _Open(number=number, offset_s=offset_s, media=media)
        self._told(worldly, media)

    def _media(self, event: Event, start_s: float, time_s: float, look: Look | None) -> Media:
        """What can be kept of an event that begins: a clip, if the source has packets, and the picture that began it."""
        stem, self._count = f"{event.camera}-{int(start_s * 1000)}", self._count + 1
        clip = self._recording(f"{stem}{SUFFIX}", time_s, event.severity)
        return Media(
            clip=clip.name if clip else "",
            clip_at_s=max(event.start_s - clip.begun_s, 0.0) if clip else 0.0,
            snapshot="" if look is None else self._snapshot(f"{stem}-{self._count}{PICTURE}", look, event.severity),
            box=None if look is None else box_of(look, event.track),
        )

    def _recording(self, name: str, time_s: float, severity: str) -> _Clip | None:
        """The clip that is under way, or a new one; as severe as the worst that it shows."""
        held_s = self._recorder.held_s
        if self._clip is None and self._recorder.start(self._folder / CLIPS / name):
            self._clip = _Clip(name=name, begun_s=time_s - held_s, started_s=time_s, severity=severity)
        elif self._clip is not None and RANKS[severity] > RANKS[self._clip.severity]:
            self._clip = replace(self._clip, severity=severity)
        return self._clip

    def _snapshot(self, name: str, look: Look, severity: str) -> str:
        """The look's picture on the disk; its name, or nothing where the disk takes none: the event goes on without."""
        path = self._folder / SNAPSHOTS / name
        try:
            write_atomically(path, jpeg(self.showing.picture(look, look.frame.width), 85))
        except Exception as exc:
            log.error("the snapshot %s could not be written: %s", name, exc)
            return ""
        self._kept(path, self._wanted.name, severity)
        return name


def box_of(look: Look, track: int | None) -> Box | None:
    """The track's box in shares of the picture."""
    rows = np.flatnonzero(look.people.tracks.ids == (-1 if track is None else track))
    if not len(rows):
        return None
    size = np.array([look.frame.width, look.frame.height] * 2)
    x1, y1, x2, y2 = np.clip(look.people.tracks.boxes[rows[0]] / size, 0, 1).round(4).tolist()
    return x1, y1, x2, y2


class Chosen:
    """A detector's boxes of some classes: what one camera's rules are about is not for the next."""

    def __init__(self, detector: Finds, wanted: frozenset[str]) -> None:
        self._detector, self.labels, self._wanted = detector, detector.labels, wanted
        self.presence = getattr(detector, "presence", None)

    def want(self, wanted: frozenset[str]) -> None:
        """From now on boxes of these classes."""
        self._wanted = wanted

    def __call__(self, frame: Frame, stages: Stages | None = None) -> Boxes:
        found = self._detector(frame, stages)
        if not self.labels:
            return found
        ids = [index for index, label in enumerate(self.labels) if label in self._wanted]
        return found.take(np.isin(found.class_ids, ids))


class OneAtATime:
    """A detector that several cameras share: sessions are not for several threads at once."""

    def __init__(self, model: Finds, lock: Lock, watchdog: Watchdog) -> None:
        self._model, self._lock, self._watchdog = model, lock, watchdog
        self.labels: tuple[str, ...] = getattr(model, "labels", ())
        self.presence, self.segments = getattr(model, "presence", None), bool(getattr(model, "segments", False))

    def __call__(self, frame: Frame, *arguments: Any) -> Any:
        with self._lock, self._watchdog.step():
            return self._model(frame, *arguments)

    def cell_scores(self, frame: Frame, class_id: int) -> Any:
        """What every cell of a dense head says of a class, which explains detections; None of a model that has no such head."""
        ask = getattr(self._model, "cell_scores", None)
        if ask is None:
            return None
        with self._lock:
            return ask(frame, class_id)


class PosesOneAtATime:
    """The pose model that several cameras share."""

    def __init__(self, model: PoseNetwork, lock: Lock, watchdog: Watchdog) -> None:
        self._model, self._lock, self._watchdog = model, lock, watchdog

    def poses(self, frame: Frame, regions: Sequence[Region]) -> list[Pose]:
        """As the model's."""
        with self._lock, self._watchdog.step():
            return self._model.poses(frame, regions)
