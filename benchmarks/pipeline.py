r"""The whole way from a recording to events, beside the bare model and beside two loops that others write: same clip, same model, one run.

    python benchmarks/pipeline.py [CLIP...] [--detector ARTIFACT...] [--threads 1 2] [--frames 60] [--rounds 3] [--no-live]

Every loop is given the same number of threads for the model. `bare` feeds one session one prepared picture again and again. `edgekit` is what
`edgekit run camera --no-serve` does (decode, detect, track, rules; no motion gate, every frame): a session of one thread for each of
those threads. `at_most` is the share of the bare model that could be reached if nothing but decoding were added and no core ever waited:
what decoding takes of one core, beside what the model takes of its own, shared out over the machine's cores. `supervision` reads with OpenCV, tracks with `trackers` and asks a line zone, `loop` is the plain `cv2.VideoCapture` loop: read,
letterbox, run, decode, draw; both have one session of so many threads. The peers get edgekit's own decoding of the model's head, which costs
them nothing extra. The rounds are interleaved and the medians reported. `--frames` takes the beginning of every clip (opening one costs
as much as several frames, so that a fast detector wants some hundreds); without a clip named
there are the two recordings of people as they are, and the first enlarged to 1280 x 720 and 1920 x 1080 (H.264, encoded anew). The two packages
stand beside edgekit, which needs neither:

    python -m pip install --no-deps supervision trackers pydeprecate matplotlib contourpy cycler fonttools kiwisolver \
        pyparsing python-dateutil six defusedxml tqdm requests charset-normalizer idna urllib3 certifi

Then four cameras at 5 frames a second with the motion gate, in real time; and the tracker alone with 20 objects. Rows of other detectors and
threads that the file of results holds from earlier runs stay, each with its conditions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from operator import itemgetter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import av
import cv2
import numpy as np
from common import RESULTS, SHARED, conditions, write
from pipeline_cameras import four_cameras
from pipeline_clips import CLIPS, decode_ms, recordings
from pipeline_loops import loops

from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.tracking.bytetrack import ByteTrack
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.models.persons import artifacts
from edgekit.runtimes.base import cores

OBJECTS, TRACKED = 20, 400
PACKAGES = ("av", "opencv-python-headless", "supervision", "trackers")


def compared(found: Mapping[str, Callable[[Path, int], int]], clip: Path, rounds: int) -> dict[str, Any]:
    """Frames a second of every loop, and edgekit's as a share of the others'."""
    frames = found["edgekit"](clip, 0)
    rates: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, loop in found.items():
            begun = perf_counter()
            rates[name].append(loop(clip, frames) / (perf_counter() - begun))
    fps = {name: round(median(each), 2) for name, each in rates.items()}
    return {
        "frames": frames,
        "fps": fps,
        "edgekit_of": {name: round(fps["edgekit"] / rate, 3) for name, rate in fps.items() if name != "edgekit"},
        "rounds": {name: [round(rate, 2) for rate in each] for name, each in rates.items()},
    }


def rows_of(detector: Path, threads: int, clips: Sequence[Path], rounds: int) -> Iterator[dict[str, Any]]:
    """One row for every clip."""
    with loops(detector, threads) as found:
        for clip in clips:
            with av.open(str(clip)) as container:
                video = container.streams.video[0]
                size = f"{video.width}x{video.height}"
            key = {"detector": detector.name, "threads": threads, "clip": clip.name, "size": size}
            row = compared(found, clip, rounds)
            took = decode_ms(clip)
            row |= {"decode_ms": round(took, 3), "at_most": round(at_most(row["fps"]["bare"], threads, took), 3)}
            yield {**key, **row, "conditions": conditions(*PACKAGES)}


def at_most(bare_fps: float, threads: int, decoding_ms: float) -> float:
    """The share of the bare model's rate that is left when its `threads` share the machine's cores with the decoder."""
    model_ms = 1000 * threads / bare_fps
    return min(1.0, cores(0) / threads * model_ms / (model_ms + decoding_ms))


def with_earlier(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows, behind those of other detectors, threads and clips that were measured before."""
    file, key = RESULTS / "pipeline.json", itemgetter("detector", "threads", "clip")
    before = json.loads(file.read_text("utf-8"))["loops"] if file.is_file() else []
    new = {key(row) for row in rows}
    return [*(row for row in before if key(row) not in new), *rows]


def tracker_ms() -> float:
    """Median milliseconds of one update with 20 objects that wander."""
    chance, tracker = np.random.default_rng(0), ByteTrack()
    corners = chance.uniform(0, 900, (OBJECTS, 2))
    speeds, sizes, took = chance.normal(0, 3, (OBJECTS, 2)), chance.uniform(30, 90, (OBJECTS, 2)), []
    for number in range(TRACKED):
        moved = corners + speeds * number / 10 + chance.normal(0, 1, (OBJECTS, 2))
        found = Boxes(
            boxes=np.concatenate([moved, moved + sizes], axis=1),
            scores=chance.uniform(0.3, 0.95, OBJECTS),
            class_ids=np.zeros(OBJECTS, np.int64),
        )
        begun = perf_counter()
        tracker.update(found, number / 10)
        took.append(perf_counter() - begun)
    return round(1000 * median(took), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--detector", type=Path, nargs="*", default=[artifacts()[0]])
    parser.add_argument("--threads", type=int, nargs="*", default=sorted({1, cores(0)}))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--frames", type=int, default=60, metavar="N", help="the loops see each clip's first N frames (0: all; default: 60)"
    )
    parser.add_argument("--live-seconds", type=float, default=30.0)
    parser.add_argument("--no-live", action="store_true", help="only the loops; the rest stays as it was measured")
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        clips = recordings(arguments.clips, arguments.frames, Path(scratch))
        rows = []
        for detector, threads in product(arguments.detector, arguments.threads):
            cv2.setNumThreads(threads)
            rows += list(rows_of(detector, threads, clips, arguments.rounds))
    result = {"loops": with_earlier(rows), **(kept() if arguments.no_live else live(arguments.live_seconds))}
    write("pipeline", result)


def kept() -> dict[str, Any]:
    """What an earlier run wrote beside its loops."""
    before = json.loads((RESULTS / "pipeline.json").read_text("utf-8"))
    return {name: value for name, value in before.items() if name != "loops"}


def live(seconds: float) -> dict[str, Any]:
    """Four cameras, and the tracker, with the detector in the box."""
    with opened(artifacts()[0], threads=1) as session:
        cameras = four_cameras(session, SHARED / "videos" / CLIPS[0], seconds)
        about = {"detector": session.artifact.path.name, "runtime": session.runtime, "threads": 1}
    return {
        "live": {**about, **cameras},
        "tracker_20_objects_ms": tracker_ms(),
        "conditions": conditions("av", "ai-edge-litert"),
    }


if __name__ == "__main__":
    main()
