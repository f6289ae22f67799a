"""Hours of watching in minutes: does memory or the number of open files grow?

    python benchmarks/soak.py [CLIP] [--hours 1] [--detector ARTIFACT]

The clip is shown again and again as one long recording, at 5 frames a second of its own time and as fast as the machine can: opened
anew each time (as after a reconnection), decoded, detected, tracked, judged by rules, events into the database, a clip from the encoded
stream and a snapshot of each, and no more of both kept than a budget allows. Memory is read from the kernel every simulated minute; the
slope is fitted to what comes after the first third. Every tenth sample is printed while it runs.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter, time
from typing import Any, NamedTuple

import numpy as np
from common import SHARED, conditions, write

from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.recording.clips import ClipRecorder
from edgekit.apps.vision.recording.retention import PICTURE, SUFFIX, Limits, sweep
from edgekit.apps.vision.recording.store import EventStore, Media
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.showing.overlay import jpeg
from edgekit.apps.vision.sources.open import open_source
from edgekit.models.persons import artifacts

SITE = """\
cameras:
  room:
    source: {source}
    detect: {{fps: 5}}
    lines:
      exit: {{start: [0.72, 0.0], end: [0.72, 1.0], band: 0.02}}
    rules:
      - {{name: visit, line: exit}}
      - {{name: somebody, dwell_s: 5}}
"""
SAMPLE_S, TOLD_EVERY = 60.0, 10
WARM_UP = 1 / 3
LIMITS = Limits(days=14.0, total_bytes=64 << 20, free_bytes=0)


class Sample(NamedTuple):
    """The process at one moment of the simulated time."""

    time_s: float
    rss_bytes: int
    files: int


def sampled(time_s: float) -> Sample:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return Sample(time_s, pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir())))


class Leavings:
    """What stays of a recording: events in a database, a clip and a snapshot beside each, the oldest of both deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.recorder = folder, ClipRecorder()
        self._store, self.events = EventStore(folder / "events.db"), 0

    def keep(self, events: Sequence[Event], frame: Frame) -> None:
        for event in events:
            if event.end_s is None or event.start_s == event.end_s:
                name = f"{frame.number}-{event.rule}"
                (self._folder / f"{name}{PICTURE}").write_bytes(jpeg(frame.rgb(), 85))
                self.recorder.start(self._folder / f"{name}{SUFFIX}")
                self._store.add(event, Media(clip=f"{name}{SUFFIX}", snapshot=f"{name}{PICTURE}"))
                self.events += 1
            else:
                self.recorder.stop()

    def sweep(self, time_s: float) -> None:
        sweep([self._folder], LIMITS, time_s)

    def close(self) -> None:
        self.recorder.stop()
        self._store.close()


def endless(camera: Any, tap: ClipRecorder) -> Iterator[Frame]:
    """The clip as one recording without an end, at the camera's rate."""
    start_s, number = 0.0, 0
    while True:
        capture, last_s, due_s = open_source(camera.source, tap=tap), 0.0, 0.0
        with closing(capture):
            while (frame := capture.read()) is not None:
                last_s = frame.time_s
                if frame.time_s >= due_s - 1e-6:
                    due_s, number = due_s + 1 / camera.detect.fps, number + 1
                    yield replace(frame, time_s=start_s + frame.time_s, number=number)
        start_s += last_s + 1 / camera.detect.fps


def soaked(clip: Path, detector: Detector, leavings: Leavings, hours: float) -> dict[str, Any]:
    camera = parse_site(SITE.format(source=clip), "soak").cameras[0]
    analyst, samples, frames = Analyst(camera, detector), [sampled(0.0)], 0
    begun = perf_counter()
    for frame in endless(camera, leavings.recorder):
        frames += 1
        leavings.keep(analyst.look(frame).events, frame)
        if frame.time_s >= samples[-1].time_s + SAMPLE_S:
            leavings.sweep(time())
            samples.append(told(sampled(frame.time_s), len(samples), perf_counter() - begun))
        if frame.time_s >= hours * 3600:
            break
    took = round(perf_counter() - begun, 1)
    return {"frames": frames, "events": leavings.events, "real_seconds": took, **judged(samples)}


def told(sample: Sample, number: int, real_s: float) -> Sample:
    """The sample, said aloud when it is its turn."""
    if number % TOLD_EVERY == 0:
        shown = f"{sample.time_s / 60:.0f} min in {real_s:.0f} s: {sample.rss_bytes / 1e6:.1f} MB, {sample.files} files"
        print(shown, file=sys.stderr, flush=True)
    return sample


def judged(samples: list[Sample]) -> dict[str, Any]:
    """Slope of memory after the warm-up in MB an hour, and how many files more are open at its end than at its beginning."""
    warm = samples[int(len(samples) * WARM_UP) :]
    hours = np.array([sample.time_s for sample in warm]) / 3600
    megabytes = np.array([sample.rss_bytes for sample in warm]) / 1e6
    slope = float(np.polyfit(hours, megabytes, 1)[0]) if len(warm) > 2 else float("nan")
    return {
        "simulated_hours": round(samples[-1].time_s / 3600, 3),
        "memory_mb": {"first": round(megabytes[0], 2), "last": round(megabytes[-1], 2), "highest": round(megabytes.max(), 2)},
        "memory_slope_mb_per_hour": round(slope, 3),
        "open_files": {"first": warm[0].files, "last": warm[-1].files, "highest": max(sample.files for sample in warm)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?", default=SHARED / "videos" / "one-by-one-person-detection.mp4")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--detector", type=Path)
    arguments = parser.parse_args()
    detector = arguments.detector or artifacts()[0]
    with (
        tempfile.TemporaryDirectory() as scratch,
        opened(detector, threads=1) as session,
        closing(Leavings(Path(scratch))) as leavings,
    ):
        result = soaked(arguments.clip, Detector(session, wanted=frozenset({"person"})), leavings, arguments.hours)
    write("soak", {"clip": arguments.clip.name, "detector": detector.name, **result, "conditions": conditions("av")})


if __name__ == "__main__":
    main()
