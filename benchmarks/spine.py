"""The four real models on every target, and what converting and running one of them costs.

Needs the folder of real models beside the checkout (EDGEKIT_SHARED says where else). Writes results/spine.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import SHARED, conditions, edgekit, write

from edgekit.artifact import read
from edgekit.core.optional import need

TARGETS = "jetson,coral,rpi,cpu"
MODELS = ("yolox_nano", "fastestdet", "yunet_n_640_640", "ultraface_version-RFB-320")
LABELLED = {"yolox_nano", "fastestdet"}
"""Those that detect what the COCO pictures are labelled with; the others find faces."""
RUNTIMES = ("onnxruntime", "ai-edge-litert")


def main() -> int:
    """Convert, measure, write."""
    if not (SHARED / "models_onnx").is_dir():
        print(f"the real models are not here: {SHARED / 'models_onnx'}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder)
        rows = [row for model in MODELS for row in rows_of(model, output)]
        cost = yolox_nano_int8(output)
    write("spine", {"conditions": conditions(*RUNTIMES), "artifacts": rows, "yolox_nano_int8": cost})
    return 0


def rows_of(model: str, output: Path) -> Iterator[dict[str, Any]]:
    """One row for every target. Accuracy comes from a second conversion, so that `seconds` is that of converting alone."""
    labelled = ("--evaluate", str(SHARED / "coco_eval" / "instances.json"))
    judged = converted(model, output / "judged", *labelled) if model in LABELLED else [None] * len(TARGETS.split(","))
    keys = ("target", "precision", "format", "bytes", "parity", "seconds", "float_layers", "notes")
    for artifact, twin in zip(converted(model, output), judged, strict=True):
        yield {"model": model, **{key: artifact[key] for key in keys}, "accuracy": twin and twin["accuracy"]}


def converted(model: str, output: Path, *options: str) -> list[dict[str, Any]]:
    """What `edgekit convert --json` says of each target. Operators that an Edge TPU leaves to the CPU are accepted."""
    arguments = (str(source(model)), "--target", TARGETS, *calibration(), *options, "-o", str(output))
    found = json.loads(edgekit("convert", *arguments, "--json").stdout)
    for failure in found["failed"]:
        raise SystemExit(f"{model} for {failure['target']}: {failure['error']}")
    return list(found["artifacts"])


def yolox_nano_int8(output: Path) -> dict[str, Any]:
    """ONNX to int8 TFLite in a process of its own; then float and int8 timed in turns."""
    whole = edgekit(*one("int8", output / "int8"), *calibration())
    edgekit(*one("fp32", output / "fp32"))
    int8, float32 = (next((output / name).glob("*/manifest.json")).parent for name in ("int8", "fp32"))
    report = json.loads(edgekit("bench", str(float32), str(int8), "--json").stdout)
    float_ms, int8_ms = (median_ms(result) for result in report["results"])
    model = read(int8).file("model").read_bytes()
    return {
        "seconds": round(whole.seconds, 2),
        "peak_rss_bytes": whole.peak_rss_bytes,
        "bytes": len(model),
        "constant_bytes": constant_bytes(model),
        "float_ms": float_ms,
        "int8_ms": int8_ms,
    }


def one(precision: str, output: Path) -> tuple[str, ...]:
    """Arguments that convert YOLOX-nano for a Raspberry Pi."""
    return ("convert", str(source("yolox_nano")), "--target", "rpi", "--precision", precision, "-o", str(output), "--json")


def calibration() -> tuple[str, str]:
    """The calibration pictures."""
    return ("--calibration", str(SHARED / "calibration"))


def source(model: str) -> Path:
    """The trained model."""
    return SHARED / "models_onnx" / f"{model}.onnx"


def median_ms(result: dict[str, Any]) -> float:
    """Median latency of one artifact in a report."""
    return float(next(one["value_ms"] for one in result["summary"]["percentiles"] if one["level"] == 50.0))


def constant_bytes(tflite: bytes) -> int:
    """Bytes of all constant tensors in a TFLite file: weights and biases, without what describes them."""
    schema = need("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite, 0))
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    buffers = (buffer.data for index, buffer in enumerate(model.buffers) if index in used)
    return sum(len(data) for data in buffers if data is not None)


if __name__ == "__main__":
    raise SystemExit(main())
