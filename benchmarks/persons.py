"""The shipped person detector beside its teacher: AP50 of people on COCO pictures, and counts on clips against what was counted by eye.

    python benchmarks/persons.py --speed
    python benchmarks/persons.py TEACHER.onnx [--only float|int8|beginning|teacher]... [--pictures] [--detector ARTIFACT]...

Converts the float networks for this machine (the shipped one, its teacher, and what training began with: the teacher's weights in the
shipped network's size), judges them and the shipped int8 artifact the same way, and writes `edge/models/persons/scores.json` for the
model card. `--speed` times the shipped artifact again and keeps the rest: on a machine that does nothing else. `--pictures` leaves out the clips. `--detector` judges others instead and writes nothing there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from common import SHARED, conditions, edgekit
from visits import watched

from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.sources.open import open_source
from edgekit.core.files import write_atomically
from edgekit.core.optional import need
from edgekit.models.persons import CARD, SCORES, artifacts, model_path
from edgekit.train import persons_teacher
from edgekit.train.persons import MODEL, write
from edgekit.train.persons_loop import Recipe

THRESHOLD = 0.4
TIMED = 60
JUDGED = ("float", "int8", "beginning", "teacher")


def judged(artifact: Path, clips: Path | None) -> dict[str, Any]:
    """Everything about one detector; without clips, what pictures say."""
    said = edgekit("evaluate", str(artifact), "--data", str(SHARED / "coco_eval" / "instances.json"), "--json")
    people = {"ap50": person_ap50(json.loads(said.stdout))}
    return people if clips is None else people | on_clips(artifact, clips)


def on_clips(artifact: Path, clips: Path) -> dict[str, Any]:
    """Counts, visits and speed."""
    truth = json.loads((clips / "ground_truth.json").read_text(encoding="utf-8"))
    with opened(artifact, threads=1) as session:
        detector = Detector(session, wanted=frozenset({"person"}))
        counts = {
            name: counted(clips / name, detector, about["persons_visible"])
            for name, about in truth.items()
            if "persons_visible" in about
        }
        visits = watched(clips / "one-by-one-person-detection.mp4", detector, True)
    errors = [abs(found - true) for frames in counts.values() for found, true in frames.values()]
    return {
        "count_error": round(float(np.mean(errors)), 3),
        "counts_found_and_true": counts,
        "visits": len(visits.events),
        "ms": speed(artifact, clips / "vtest_480x360.mp4"),
    }


def person_ap50(said: Mapping[str, Any]) -> float:
    """Of the one class, out of what `edgekit evaluate` printed."""
    return float(said["evaluated"][0]["by_label"]["person"])


def counted(clip: Path, detector: Detector, by_eye: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """People found and people there, for the frames that were counted by eye."""
    wanted, found = {int(frame): count for frame, count in by_eye.items()}, {}
    capture = open_source(parse_address(str(clip)))
    try:
        while (frame := capture.read()) is not None and frame.number <= max(wanted):
            if frame.number in wanted:
                found[str(frame.number)] = (int((detector(frame).scores >= THRESHOLD).sum()), wanted[frame.number])
    finally:
        capture.close()
    return found


def speed(artifact: Path, clip: Path) -> float:
    """Median milliseconds of a frame, prepared, run and decoded into boxes, on one thread."""
    capture = open_source(parse_address(str(clip)))
    took = []
    with opened(artifact, threads=1) as session:
        detector = Detector(session)
        for _ in range(TIMED):
            frame = capture.read()
            assert frame is not None
            begun = perf_counter()
            detector(frame)
            took.append(perf_counter() - begun)
    capture.close()
    return round(1000 * float(np.median(took)), 2)


def converted(model: Path, folder: Path) -> Path:
    """The float artifact of a model for this machine."""
    said = edgekit("convert", str(model), "-t", "cpu", "--precision", "fp32", "-o", str(folder), "--json")
    return Path(json.loads(said.stdout)["artifacts"][0]["path"])


def beginning(teacher: Path, folder: Path) -> Path:
    """The network as it is before the first step of training."""
    recipe = Recipe(**{name: json.loads(CARD.read_bytes())["recipe"][name] for name in ("height", "width")})
    torch = need("torch")
    weights = {name: torch.from_numpy(array) for name, array in persons_teacher.read(teacher).items()}
    write(persons_teacher.for_persons(weights), recipe, {}, folder)
    return folder / MODEL


def artifact_of(name: str, teacher: Path, folder: Path) -> Path:
    """What is judged under that name."""
    if name == "int8":
        (shipped,) = artifacts()
        return shipped
    if name == "beginning":
        return converted(beginning(teacher, folder), folder / name)
    return converted(model_path() if name == "float" else teacher, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path, nargs="?")
    parser.add_argument("--speed", action="store_true", help="time the shipped artifact again, keep everything else")
    parser.add_argument("--detector", type=Path, action="append", default=[])
    parser.add_argument(
        "--only", choices=JUDGED, action="append", default=[], help="judge these again and keep what is known of the others"
    )
    parser.add_argument("--pictures", action="store_true", help="AP50 alone: leave out the clips")
    parser.add_argument("--clips", type=Path, default=SHARED / "videos")
    arguments = parser.parse_args()
    clips = None if arguments.pictures else arguments.clips
    if arguments.detector:
        print(json.dumps({str(path): judged(path, clips) for path in arguments.detector}, indent=2))
        return
    known = json.loads(SCORES.read_bytes())["detectors"] if SCORES.is_file() else {}
    if arguments.speed:
        known["int8"]["ms"] = speed(artifacts()[0], arguments.clips / "vtest_480x360.mp4")
        write_scores(known)
        return
    if arguments.teacher is None:
        parser.error("TEACHER.onnx is needed, except for --speed and --detector")
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.only or JUDGED:
            known[name] = judged(artifact_of(name, arguments.teacher, Path(scratch)), clips)
    write_scores(known)


def write_scores(known: Mapping[str, Any]) -> None:
    """What the model card is made of."""
    counts: dict[str, Any] = next(
        (found["counts_found_and_true"] for found in known.values() if "counts_found_and_true" in found), {}
    )
    result = {
        "detectors": known,
        "int8_bytes": sum(file.stat().st_size for file in artifacts()[0].glob("model.*")),
        "threshold": THRESHOLD,
        "frames": sum(len(frames) for frames in counts.values()),
        "conditions": conditions("onnxruntime", "ai-edge-litert"),
    }
    text = json.dumps(result, indent=2) + "\n"
    write_atomically(SCORES, text.encode())
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
