"""Four cameras in real time on one detector, as `pipeline.py` measures them: what comes too late, and what is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread
from time import perf_counter, sleep
from typing import Any

from pipeline_site import camera_of

from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.sources.latest import Latest
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.watching.camera import OneAtATime
from edgekit.apps.vision.watching.site import RUN_LIMIT_S
from edgekit.apps.vision.watching.watchdog import Watchdog
from edgekit.runtimes.face import FaceSession

CAMERAS, CAMERA_FPS = 4, 5


class Paced:
    """One camera in real time: a thread that puts the clip's frames at their times, one that looks at the newest."""

    def __init__(self, clip: Path, detector: OneAtATime, seconds: float) -> None:
        self._camera, self._detector, self._seconds = camera_of(clip, CAMERA_FPS, True), detector, seconds
        self._latest: Latest[Frame] = Latest()
        self.looks, self.skipped, self.events = 0, 0, 0
        self.threads = [Thread(target=self._put), Thread(target=self._look)]

    @property
    def dropped(self) -> int:
        return self._latest.dropped

    def _put(self) -> None:
        with frames_of(self._camera) as frames:
            begun = perf_counter()
            for frame in frames:
                if frame.time_s > self._seconds:
                    break
                sleep(max(begun + frame.time_s - perf_counter(), 0))
                self._latest.put(frame)
        self._latest.close()

    def _look(self) -> None:
        analyst = Analyst(self._camera, self._detector)
        while not self._latest.closed:
            frame = self._latest.take(0.5)
            if frame is not None:
                look = analyst.look(frame)
                self.looks, self.skipped = self.looks + 1, self.skipped + look.skipped
                self.events += sum(event.end_s is not None for event in look.events)
        self.events += len(analyst.finish())


@contextmanager
def frames_of(camera: Any) -> Iterator[Iterator[Frame]]:
    """The clip's frames at the camera's rate."""
    capture, due_s = open_source(camera.source), 0.0

    def thinned() -> Iterator[Frame]:
        nonlocal due_s
        while (frame := capture.read()) is not None:
            if frame.time_s >= due_s - 1e-6:
                due_s += 1 / camera.detect.fps
                yield frame

    try:
        yield thinned()
    finally:
        capture.close()


def unhurried(clip: Path, session: FaceSession, seconds: float) -> int:
    """Events of the same frames without a clock: what must not be lost."""
    camera, events = camera_of(clip, CAMERA_FPS, True), 0
    analyst = Analyst(camera, Detector(session, wanted=frozenset({"person"})))
    with frames_of(camera) as frames:
        for frame in frames:
            if frame.time_s > seconds:
                break
            events += sum(event.end_s is not None for event in analyst.look(frame).events)
    return events + len(analyst.finish())


def four_cameras(session: FaceSession, clip: Path, seconds: float) -> dict[str, Any]:
    """Four cameras on one detector: frames that came too late and events that were lost."""
    expected = unhurried(clip, session, seconds)
    detector = OneAtATime(Detector(session, wanted=frozenset({"person"})), Lock(), Watchdog("detector", RUN_LIMIT_S))
    cameras = [Paced(clip, detector, seconds) for _ in range(CAMERAS)]
    for thread in (thread for camera in cameras for thread in camera.threads):
        thread.start()
    for thread in (thread for camera in cameras for thread in camera.threads):
        thread.join()
    return {
        "cameras": CAMERAS,
        "fps": CAMERA_FPS,
        "seconds": seconds,
        "looks": [camera.looks for camera in cameras],
        "without_detection": [camera.skipped for camera in cameras],
        "frames_dropped": [camera.dropped for camera in cameras],
        "events": [camera.events for camera in cameras],
        "events_expected_each": expected,
        "events_dropped": sum(max(expected - camera.events, 0) for camera in cameras),
    }
