"""MobileNetV2 to int8: what converting costs beside the peers' route, and what the file costs to run beside Coral's own.

Needs the zoo and the folder of real models beside the checkout (EDGEKIT_SHARED says where else); the peers' route (onnx2tf to float, then
ai-edge-quantizer) gets environments of its own (PEERS_HOME keeps them). Writes results/mobilenet.json. With `--work FOLDER` the model
and its samples are kept there, and `--prepare` makes nothing but those and the environments: what is left to measure takes a minute, on a
machine that should do nothing else then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from common import SHARED, conditions, write
from peers import ROUNDS, THREADS, in_turns
from zoo import ready
from zoo_methods import METHODS, Outcome

MODEL = "tv_mobilenet_v2"
FEEDS = 64
ROUTES = ("edgekit", "onnx2tf", "onnx2tf+ai-edge-quantizer")
OFFICIAL = SHARED / "models_coral" / "mobilenet_v2_1.0_224_quant.tflite"
"""MobileNetV2 1.0 at 224 pixels with 1001 classes, trained for int8 by TensorFlow; the zoo's has 1000."""


def main() -> int:
    """Convert by both routes, run both files in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=None, help="keep the model and its samples here")
    parser.add_argument(
        "--prepare", action="store_true", help="make the model, its samples and the peers' environments, and no more"
    )
    arguments = parser.parse_args()
    if not OFFICIAL.is_file():
        print(f"the real models are not here: {OFFICIAL}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.work or Path(scratch)) / MODEL
        ready(MODEL, folder, calibration=FEEDS)
        versions = {name: METHODS[name].version() for name in ROUTES[1:]}
        if arguments.prepare:
            return 0
        made = {name: convert(name, folder) for name in ROUTES}
        ours, first, second = made["edgekit"]["int8"], made["onnx2tf"]["float"], made["onnx2tf+ai-edge-quantizer"]["int8"]
        our_ms, official_ms = in_turns(file_of(ours), OFFICIAL)
        told = {
            "edgekit": {"seconds": round(ours.seconds, 2), "peak_rss_bytes": ours.peak_rss_bytes},
            "peers": {
                "seconds": round(first.seconds + second.seconds, 2),
                "peak_rss_bytes": max(first.peak_rss_bytes, second.peak_rss_bytes),
            },
            "int8_ms": round(our_ms, 3),
            "official_ms": round(official_ms, 3),
            "ratio": round(our_ms / official_ms, 3),
            "int8_bytes": file_of(ours).stat().st_size,
            "official_bytes": OFFICIAL.stat().st_size,
        }
    measured = {"calibration_feeds": FEEDS, "threads": THREADS, "rounds": ROUNDS, **versions}
    write("mobilenet", {"conditions": {**conditions("onnxruntime", "ai-edge-litert"), **measured}, **told})
    return 0


def convert(name: str, folder: Path) -> dict[str, Outcome]:
    """By one method, as in the zoo."""
    output = folder / name
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    return dict(METHODS[name].convert(folder, output))


def file_of(outcome: Outcome) -> Path:
    """The file, or the end."""
    if outcome.file is None:
        raise SystemExit(outcome.reason)
    return outcome.file


if __name__ == "__main__":
    raise SystemExit(main())
