"""Falls: the shipped rules on a folder of clips with a `labels.csv` (file, label: fall or adl, fall_start_s, fall_end_s).

    python benchmarks/falls.py DIR --detector ARTIFACT --pose MOVENET [--mirror] [--slow 1.5] [--json]

A fall counts as found when a `fall_suspected` event begins no earlier than a second before it and no later than 5 s after its end;
any such event in another clip is a false alarm. `--mirror` shows the clips mirrored, `--slow` stretches their time: other people and
rooms will differ more than that, so what only works as filmed does not work.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import conditions, write

from edgekit.apps.vision.activities.fall import FALL
from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.analysis.recorded import go_through
from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.poses.keypoints import SinglePose
from edgekit.apps.vision.rules.settings import Camera, Detect, Rule
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.sources.base import Capture
from edgekit.apps.vision.sources.open import open_source

BEFORE_S, AFTER_S = 1.0, 5.0


class Changed:
    """A capture seen mirrored, or slower."""

    def __init__(self, capture: Capture, mirror: bool, slow: float) -> None:
        self._capture, self._mirror, self._slow = capture, mirror, slow

    def read(self) -> Frame | None:
        frame = self._capture.read()
        if frame is None:
            return None
        if self._mirror:
            frame = from_rgb(np.ascontiguousarray(frame.rgb()[:, ::-1]), number=frame.number, time_s=frame.time_s)
        return replace(frame, time_s=frame.time_s * self._slow)

    def close(self) -> None:
        self._capture.close()


def look_at(clip: Path, detector: Detector, pose: SinglePose, mirror: bool, slow: float) -> list[dict[str, object]]:
    address = parse_address(str(clip))
    rules = (Rule(name="fall", activity=FALL),)
    camera = Camera(name="room", source=address, detect=Detect(), zones={}, lines={}, rules=rules)
    capture = Changed(open_source(address), mirror, slow)
    try:
        found = go_through(capture, Analyst(camera, detector, pose), detector.labels)
    finally:
        capture.close()
    return [event.as_json() for event in found.events]


def judge(row: dict[str, str], events: list[dict[str, object]], slow: float) -> bool:
    """Whether the clip was read rightly."""
    if row["label"] != "fall":
        return not events
    start, end = (float(row[key]) * slow for key in ("fall_start_s", "fall_end_s"))
    return any(start - BEFORE_S <= float(str(event["start_s"])) <= end + AFTER_S for event in events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    shared = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    parser.add_argument("--detector", type=Path, default=shared / "models_detection" / "yolox_nano_float16_quantize.tflite")
    parser.add_argument("--pose", type=Path, default=shared / "models_coral" / "movenet_single_pose_lightning_ptq.tflite")
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--slow", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="write the figures into benchmarks/results, with their conditions")
    arguments = parser.parse_args()
    rows = list(csv.DictReader((arguments.folder / "labels.csv").read_text(encoding="utf-8").splitlines()))
    with (
        opened(arguments.detector, threads=arguments.threads) as one,
        opened(arguments.pose, threads=arguments.threads) as other,
    ):
        detector, pose = Detector(one, wanted=frozenset({"person"})), SinglePose(other)
        clips = []
        for row in rows:
            events = look_at(arguments.folder / row["file"], detector, pose, arguments.mirror, arguments.slow)
            clips.append(
                {"file": row["file"], "label": row["label"], "right": judge(row, events, arguments.slow), "events": events}
            )
            if not arguments.json:
                said = "; ".join(f"{event['start_s']} s, score {event['score']}" for event in events)
                print(f"{'' if clips[-1]['right'] else 'WRONG':<6}{row['label']:<5}{row['file']:<20} {said}", flush=True)
    falls = [clip for clip in clips if clip["label"] == "fall"]
    calm = [clip for clip in clips if clip["label"] != "fall"]
    result = {
        "falls": len(falls),
        "found": sum(bool(clip["right"]) for clip in falls),
        "daily": len(calm),
        "false_alarms": sum(not clip["right"] for clip in calm),
        "detector": arguments.detector.name,
        "pose": arguments.pose.name,
    }
    if arguments.keep:
        write("falls", {**result, "clips": clips, "conditions": conditions("av", "ai-edge-litert")})
        return
    print(json.dumps({**result, "clips": clips}) if arguments.json else result)


if __name__ == "__main__":
    main()
