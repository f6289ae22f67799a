"""A recording worked on ahead of who asks: decoded and prepared in one thread, in the network as many frames as it has lanes, the rest in order.

What the detector finds in a frame depends on that frame alone, and everything else is done in the frames' order: however many threads
there are, a recording gives the same looks. The threads of the network do nothing else, so that it never waits while a core is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event as Flag
from threading import Thread

from edgekit.apps.vision.analysis.analyst import Analyst, InSteps, Look
from edgekit.apps.vision.analysis.motion import Motion
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.sources.base import Capture
from edgekit.apps.vision.tracking.tracks import Boxes

WAITING = 2
"""Frames that wait beside those that are in the detector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A frame on its way. `found` is not asked for where nothing moves: that only matters while somebody is followed."""

    frame: Frame
    motion: Motion
    found: Callable[[], Boxes] | None


class Ahead:
    """The looks of a recording, once. `frames` counts what was read, also what was not due to be looked at."""

    def __init__(self, capture: Capture, analyst: Analyst) -> None:
        self.frames = 0
        self._capture, self._analyst, self._due_s = capture, analyst, -float("inf")
        self._workers = ThreadPoolExecutor(max(analyst.lanes, 1), "detector")
        self._waiting: Queue[_Seen | BaseException | None] = Queue(analyst.lanes + WAITING)
        self._stopped = Flag()

    def looks(self) -> Iterator[Look]:
        """What every frame showed, at the camera's rate of looking. A complaint of any thread is raised here."""
        reader = Thread(target=self._read, name="decoder", daemon=True)
        reader.start()
        try:
            while (seen := self._waiting.get()) is not None:
                if isinstance(seen, BaseException):
                    raise seen
                yield self._look(seen)
        finally:
            self._stopped.set()
            reader.join()
            self._workers.shutdown(cancel_futures=True)

    def _look(self, seen: _Seen) -> Look:
        return self._analyst.understand(seen.frame, seen.motion, lambda: (seen.found or self._asked(seen.frame))())

    def _asked(self, frame: Frame) -> Callable[[], Boxes]:
        """Ask what the frame shows; the answer is waited for by calling what is returned."""
        detector, stages = self._analyst.detector, self._analyst.stages
        if not isinstance(detector, InSteps):
            return self._workers.submit(detector, frame, stages).result
        question = detector.ask(frame, stages)
        answer = self._workers.submit(detector.answer, question, stages)
        return lambda: detector.boxes(question, answer.result(), stages)

    def _read(self) -> None:
        """The thread that decodes."""
        try:
            while not self._stopped.is_set():
                with self._analyst.stages.timed("decode"):
                    frame = self._capture.read()
                if frame is None:
                    self._put(None)
                    return
                self.frames = frame.number + 1
                if self._due(frame):
                    motion = self._analyst.glance(frame)
                    self._put(_Seen(frame=frame, motion=motion, found=self._asked(frame) if motion.moving else None))
        except BaseException as exc:  # whatever it is belongs to the thread that asked for looks
            self._put(exc)

    def _due(self, frame: Frame) -> bool:
        """Whether this frame is looked at: as many a second as the camera's settings say."""
        interval = 1 / self._analyst.camera.detect.fps
        if frame.time_s < self._due_s - interval * 0.1:
            return False
        last = frame.time_s if frame.time_s - self._due_s > interval else self._due_s
        self._due_s = last + interval
        return True

    def _put(self, value: _Seen | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._waiting.put(value, timeout=0.2)
                return
            except Full:
                continue
