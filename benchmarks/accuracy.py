"""What int8 costs on real models with labelled data, on every target, beside the int8 files that others ship. Writes results/accuracy.json.

Needs the folder of real models beside the checkout (EDGEKIT_SHARED says where else). Calibration data and the data that judges are
never the same. Pictures without labels are judged by agreement with the float model's own detections. With `--work FOLDER` each model's
row is kept there by what it comes of.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, SHARED, conditions, digest, edgekit, kept, sources, write

from edgekit.core.optional import need

TARGETS = "jetson,coral,rpi,cpu"
TINY = SHARED / "models_mlperf_tiny"
FACES = ("yunet_n_640_640", "ultraface_version-RFB-320")
HELD_BACK = 100
"""Of the keyword features, the first so many calibrate and the others judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model, what it is calibrated on and judged by; `official` is an int8 file of the same network made by others."""

    name: str
    model: Path
    calibration: Path
    data: Path
    official: Path | None = None
    unlabelled: bool = False


def main() -> int:
    """Convert and judge every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=None, help="keep rows here and go on from them")
    arguments = parser.parse_args()
    if not SHARED.is_dir():
        print(f"the real models are not here: {SHARED}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        rows = [row_of(case, Path(folder), arguments.work or Path(folder)) for case in cases(Path(folder))]
    write("accuracy", {"conditions": conditions("onnxruntime", "ai-edge-litert"), "models": rows})
    return 0


def cases(folder: Path) -> Iterator[Case]:
    """The models with what they need."""
    pictures, coco = SHARED / "calibration", SHARED / "coco_eval"
    digits = ROOT / "edge" / "models" / "digits"
    images = next((SHARED / "mnist").glob("t10k-dev-*images*"))
    yield Case(name="digits", model=digits / "digits.onnx", calibration=digits / "samples", data=images)
    keywords, held_back = keyword_features(folder)
    yield Case(
        name="MLPerf Tiny keyword spotting",
        model=TINY / "kws_ref_model_float32.tflite",
        calibration=held_back,
        data=keywords,
        official=TINY / "kws_ref_model_int8.tflite",
    )
    yield Case(
        name="MLPerf Tiny visual wake words",
        model=TINY / "vww_96_float.tflite",
        calibration=pictures,
        data=SHARED / "vww_eval" / "vww01_ccby.npz",
        official=TINY / "vww_96_int8.tflite",
    )
    for name in ("yolox_nano", "fastestdet"):
        yield Case(name=name, model=onnx(name), calibration=pictures, data=coco / "instances.json")
    for name in FACES:
        yield Case(name=name, model=onnx(name), calibration=pictures, data=coco / "images", unlabelled=True)


def onnx(name: str) -> Path:
    """A trained detector."""
    return SHARED / "models_onnx" / f"{name}.onnx"


def keyword_features(folder: Path) -> tuple[Path, Path]:
    """The stored int8 features as the numbers they stand for (by the official model's input): those that judge, those held back."""
    interpreter = need("ai_edge_litert.interpreter").Interpreter(model_path=str(TINY / "kws_ref_model_int8.tflite"))
    scale, zero_point = interpreter.get_input_details()[0]["quantization"]
    with np.load(next((SHARED / "kws_eval").glob("*.npz"))) as stored:
        features, labels = stored["x"], stored["y"]
    real = ((features.astype(np.float32) - zero_point) * scale).astype(np.float32)
    judging, held_back = folder / "keywords.npz", folder / "keywords-held-back.npz"
    np.savez(judging, x=real[HELD_BACK:], y=labels[HELD_BACK:])
    np.savez(held_back, x=real[:HELD_BACK])
    return judging, held_back


def row_of(case: Case, folder: Path, work: Path) -> dict[str, Any]:
    """The row of a model as kept, where it is."""
    code = sources("converters", "runtimes", "edge/conversion", "edge/tasks")
    data = (
        file
        for path in (case.model, case.calibration, case.data)
        for file in ([path] if path.is_file() else sorted(path.iterdir()))
    )
    return kept(work / f"{case.name}.{digest(case.name, *code, *data)}.json", lambda: row(case, folder))


def row(case: Case, folder: Path) -> dict[str, Any]:
    """The float model, ours in int8 for each target, and the official int8 file."""
    ours = {target: of_artifact(case, target, folder) for target in TARGETS.split(",")}
    told = {"model": case.name, "float": of_file(case, case.model), "int8": ours}
    return told | ({"official_int8": of_file(case, case.official)} if case.official else {})


def of_file(case: Case, model: Path) -> dict[str, Any]:
    """A model file, as it came."""
    against = ("--against", str(case.model)) if case.unlabelled else ()
    return scored(edgekit("evaluate", str(model), "--data", str(case.data), *against, "--json").stdout)


def of_artifact(case: Case, target: str, folder: Path) -> dict[str, Any]:
    """Converted to int8 for a target, then judged in the engine that runs it here."""
    output = folder / case.name / target
    options = ("--target", target, "--precision", "int8", "--calibration", str(case.calibration), "-o", str(output), "--json")
    converted = json.loads(edgekit("convert", str(case.model), *options, "--allow-cpu-ops").stdout)
    manifest = next(output.glob("*/manifest.json"), None) if output.is_dir() else None
    if manifest is None:
        return {"failed": (converted.get("failed") or [converted])[0].get("error", "")}
    against = ("--against", str(case.model)) if case.unlabelled else ()
    return scored(edgekit("evaluate", str(manifest.parent), "--data", str(case.data), *against, "--json").stdout)


def scored(stdout: str) -> dict[str, Any]:
    """Metric, value and samples of the one thing that was evaluated, or why it was not."""
    told = json.loads(stdout)
    if "error" in told:
        return {"failed": told["error"]}
    found = told["evaluated"][0]
    return {key: found[key] for key in ("metric", "value", "samples")}


if __name__ == "__main__":
    raise SystemExit(main())
