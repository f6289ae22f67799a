"""Hours of watching in minutes: does memory or the number of open files grow?

    python benchmarks/soak.py [CLIP] [--hours 1] [--detector ARTIFACT]

The clip is shown again and again as one long recording, at 5 frames a second of its own time and as fast as the machine can: opened
anew each time (as after a reconnection), decoded, detected, tracked, judged by rules, events into the database. Memory is read
from the kernel every simulated minute; the slope is fitted to what comes after the first third.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from common import SHARED, conditions, write

from edgekit.apps.vision.analyst import Analyst
from edgekit.apps.vision.artifacts import opened
from edgekit.apps.vision.detector import Detector
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.rules.read import parse_site
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
SAMPLE_S = 60.0
WARM_UP = 1 / 3


class Sample(NamedTuple):
    """The process at one moment of the simulated time."""

    time_s: float
    rss_bytes: int
    files: int


def sampled(time_s: float) -> Sample:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return Sample(time_s, pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir())))


def endless(camera: Any) -> Iterator[Frame]:
    """The clip as one recording without an end, at the camera's rate."""
    start_s, number = 0.0, 0
    while True:
        capture, last_s, due_s = open_source(camera.source), 0.0, 0.0
        with closing(capture):
            while (frame := capture.read()) is not None:
                last_s = frame.time_s
                if frame.time_s >= due_s - 1e-6:
                    due_s, number = due_s + 1 / camera.detect.fps, number + 1
                    yield replace(frame, time_s=start_s + frame.time_s, number=number)
        start_s += last_s + 1 / camera.detect.fps


def soaked(clip: Path, detector: Detector, store: EventStore, hours: float) -> dict[str, Any]:
    camera = parse_site(SITE.format(source=clip), "soak").cameras[0]
    analyst, samples, events, frames = Analyst(camera, detector), [sampled(0.0)], 0, 0
    begun = perf_counter()
    for frame in endless(camera):
        frames += 1
        for event in analyst.look(frame).events:
            if event.end_s is not None:
                store.add(event)
                events += 1
        if frame.time_s >= samples[-1].time_s + SAMPLE_S:
            samples.append(sampled(frame.time_s))
        if frame.time_s >= hours * 3600:
            break
    return {"frames": frames, "events": events, "real_seconds": round(perf_counter() - begun, 1), **judged(samples)}


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
        closing(EventStore(Path(scratch) / "events.db")) as store,
    ):
        result = soaked(arguments.clip, Detector(session, wanted=frozenset({"person"})), store, arguments.hours)
    write("soak", {"clip": arguments.clip.name, "detector": detector.name, **result, "conditions": conditions("av")})


if __name__ == "__main__":
    main()
