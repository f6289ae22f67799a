"""Counts: people in the frame on `vtest`, visits on `one-by-one`, against what was counted by eye (`ground_truth.json`).

    python benchmarks/visits.py VIDEOS [--detector ARTIFACT...] [--keep]

Without a detector named, YOLOX-Nano and the one in the box. `VIDEOS` holds both recordings and `ground_truth.json`. Visits are line crossings: the line is drawn from top to bottom beside
the table, where everybody leaves at the right; it is in `SITE` below.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from common import conditions, write

from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.analysis.recorded import Recorded, go_through
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.networks.lanes import side_by_side
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.sources.open import open_source
from edgekit.models.persons import artifacts

VISITS, CROWD = "one-by-one-person-detection.mp4", "vtest_480x360.mp4"
SITE = """\
cameras:
  room:
    source: {source}
    detect: {{fps: 10, motion_gate: {gate}}}
    lines:
      exit: {{start: [0.72, 0.0], end: [0.72, 1.0], band: 0.02}}
    rules:
      - {{name: visit, line: exit}}
"""


def watched(clip: Path, detector: Detector, gate: bool) -> Recorded:
    camera = parse_site(SITE.format(source=clip, gate="true" if gate else "false"), "visits").cameras[0]
    capture = open_source(camera.source)
    try:
        return go_through(capture, Analyst(camera, detector), detector.labels)
    finally:
        capture.close()


def people_at(found: Recorded, frame: int) -> int:
    """People in that frame, out of the list of changes."""
    return next((count for number, count in reversed(found.people) if number <= frame), 0)


def counts(artifact: Path, videos: Path, threads: int) -> dict[str, Any]:
    """What one detector counts on both recordings, beside what there is to be counted."""
    truth = json.loads((videos / "ground_truth.json").read_text(encoding="utf-8"))
    with side_by_side(artifact, threads=threads) as lanes:
        detector = Detector(lanes, wanted=frozenset({"person"}))
        visits = watched(videos / VISITS, detector, True)
        crowd = watched(videos / CROWD, detector, False)
    by_eye = {int(frame): count for frame, count in truth[CROWD]["persons_visible"].items()}
    counted = {frame: people_at(crowd, frame) for frame in by_eye}
    return {
        "detector": artifact.name,
        "visits": [event.as_json() for event in visits.events],
        "visits_counted": len(visits.events),
        "visits_by_eye": truth[VISITS]["visits"],
        "vtest_counted": counted,
        "vtest_by_eye": by_eye,
        "vtest_mean_error": round(sum(abs(counted[frame] - by_eye[frame]) for frame in by_eye) / len(by_eye), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    shared = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    yolox = shared / "models_detection" / "yolox_nano_float16_quantize.tflite"
    parser.add_argument("--detector", type=Path, nargs="+", default=[yolox, *artifacts()])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="write the figures into benchmarks/results, with their conditions")
    arguments = parser.parse_args()
    rows = [counts(detector, arguments.videos, arguments.threads) for detector in arguments.detector]
    if arguments.keep:
        write("visits", {"detectors": rows, "conditions": conditions("av", "ai-edge-litert")})
        return
    print(json.dumps({"detectors": rows}))


if __name__ == "__main__":
    main()
