"""Cameras watched as they come, without a page: each in a thread of its own, events into a database, clips beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from time import time
from typing import Any

from edgekit.apps.vision.analyst import Analyst, Finds
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.people import PoseModel
from edgekit.apps.vision.recording.clips import ClipRecorder
from edgekit.apps.vision.recording.retention import SUFFIX, Limits, sweep
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.rules.settings import Camera
from edgekit.apps.vision.sources.feed import Feed

log = logging.getLogger(__name__)
CLIPS, DATABASE = "clips", "events.db"
SWEEP_S, POST_ROLL_S = 300.0, 5.0
Key = tuple[str, float, "int | None"]


class CameraWatch:
    """One camera: its feed, its analyst, its recorder. `told` gets every event as it begins and as it ends, in seconds since 1970."""

    def __init__(
        self,
        camera: Camera,
        detector: Finds,
        pose: PoseModel | None,
        store: EventStore,
        folder: Path,
        told: Callable[[Event], None] = lambda event: None,
        limits: Limits | None = None,
    ) -> None:
        self._camera, self._detector, self._pose, self._store, self._folder = camera, detector, pose, store, folder
        self._told, self._limits = told, limits or Limits()
        self._recorder = ClipRecorder()
        self.feed = Feed(camera.source, tap=self._recorder)
        self._open: dict[Key, int] = {}
        self._begun_s, self._swept_s, self._record_until_s = 0.0, 0.0, 0.0
        self._stopped = Flag()
        self._thread = Thread(target=self._watch, name=f"camera {camera.name}", daemon=True)

    def start(self) -> None:
        self._begun_s = time()
        self.feed.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self.feed.stop()
        self._thread.join(10.0)

    @property
    def done(self) -> bool:
        """The source has ended and everything it showed was looked at."""
        return not self._thread.is_alive()

    def _watch(self) -> None:
        starts = datetime.fromtimestamp(self._begun_s)
        analyst = Analyst(self._camera, self._detector, self._pose, starts=starts)
        interval, due_s = 1 / self._camera.detect.fps, -1.0
        while not self._stopped.is_set() and not self.feed.frames.closed:
            frame = self.feed.frames.take(0.5)
            self.feed.look()
            if frame is None or 0 <= due_s - frame.time_s <= interval:
                continue
            due_s = frame.time_s + interval * 0.9
            self._keep(analyst.look(frame).events, frame.time_s)
            self._sweep()
        self._keep(analyst.finish(), due_s)
        self._recorder.stop()

    def _keep(self, events: Sequence[Event], time_s: float) -> None:
        """Write the events down, in times of the world; end the clip when none is open and the last is some seconds ago."""
        for event in events:
            end_s = None if event.end_s is None else self._begun_s + event.end_s
            self._one(replace(event, start_s=self._begun_s + event.start_s, end_s=end_s))
        if self._open or events:
            self._record_until_s = time_s + POST_ROLL_S
        elif time_s > self._record_until_s:
            self._recorder.stop()

    def _one(self, event: Event) -> None:
        """The event is on the disk before anything else happens with it."""
        key = (event.rule, event.start_s, event.track)
        if key in self._open:
            self._store.end(self._open.pop(key), event)
        else:
            name = f"{self._camera.name}-{int(event.start_s * 1000)}{SUFFIX}"
            clip = name if self._recorder.start(self._folder / CLIPS / name) else ""
            number = self._store.add(event, clip)
            if event.end_s is None:
                self._open[key] = number
        self._told(event)

    def _sweep(self) -> None:
        if time() - self._swept_s >= SWEEP_S and (self._folder / CLIPS).is_dir():
            self._swept_s = time()
            gone = sweep(self._folder / CLIPS, self._limits, self._swept_s)
            if gone:
                log.info("%d old clips were deleted", len(gone))


class OneAtATime:
    """A detector or a pose model that several cameras share: sessions are not for several threads at once."""

    def __init__(self, model: Callable[..., Any], lock: Lock) -> None:
        self._model, self._lock = model, lock
        self.labels: tuple[str, ...] = getattr(model, "labels", ())

    def __call__(self, frame: Frame, *arguments: Any) -> Any:
        with self._lock:
            return self._model(frame, *arguments)
