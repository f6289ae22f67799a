"""The ways from an ONNX file to an integer file: edgekit, and its peers in their own environments."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from common import Finished, run, sources
from peer_environments import AI_EDGE_QUANTIZER, ONNX2TF, environment, installed

from edgekit.artifact import read

HERE = Path(__file__).resolve().parent
LIMIT_S = 600
TIMED_OUT = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A file, or the reason why there is none, and what the whole process cost."""

    file: Path | None
    reason: str
    seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """`convert(folder, output)` makes of `folder/model.onnx`, calibrated on `folder/calibration.npz`, a file per precision."""

    convert: Callable[[Path, Path], Mapping[str, Outcome]]
    version: Callable[[], str]
    code: tuple[Path, ...]
    """What else of this checkout decides on the outcome."""


def outcome(finished: Finished, file: Path | None, reason: str = "") -> Outcome:
    """What a finished process came to."""
    return Outcome(
        file=file,
        reason="" if file else (reason or _said(finished))[:300],
        seconds=finished.seconds,
        peak_rss_bytes=finished.peak_rss_bytes,
    )


def _said(finished: Finished) -> str:
    """The first error that a program named, else its last line; a time limit is one too."""
    if finished.returncode == TIMED_OUT:
        return f"not done after {LIMIT_S} s"
    lines = [line.strip() for line in finished.stdout.splitlines() if line.strip()]
    return next((line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)), lines[-1] if lines else "no message")


def limited(*argv: str) -> Finished:
    """A child that is ended when it takes too long."""
    return run(["timeout", str(LIMIT_S), *argv])


FORMS = {
    "float": ("rpi", "fp32", "tflite"),
    "int8": ("rpi", "int8", "tflite"),
    "int8-onnx": ("cpu", "int8", "onnx"),
    "int16x8": ("rpi", "int16x8", "tflite"),
    "dynamic": ("rpi", "dynamic", "tflite"),
    "dynamic-onnx": ("cpu", "dynamic", "onnx"),
}
"""What edgekit makes of a model: target, precision and format, by the name of the column."""
TABLED = ("float", "int8", "int8-onnx")
"""What stands beside the peers."""
CALIBRATED = ("int8", "int16x8")


def by_edgekit(folder: Path, output: Path, forms: Iterable[str] = TABLED) -> dict[str, Outcome]:
    """`edgekit convert` for a Raspberry Pi, and as ONNX for this machine."""
    made = {}
    for name in forms:
        target, precision, format_ = FORMS[name]
        options = ("--target", target, "--precision", precision, "--format", format_, "--json", "-o", str(output / name))
        calibration = ("--calibration", str(folder / "calibration.npz")) if precision in CALIBRATED else ()
        finished = limited(sys.executable, "-m", "edgekit", "convert", str(folder / "model.onnx"), *options, *calibration)
        manifest = next((output / name).glob("*/manifest.json"), None) if (output / name).is_dir() else None
        file = read(manifest.parent).file("model") if manifest else None
        made[name] = outcome(finished, file, _error(finished.stdout))
    return made


def _error(stdout: str) -> str:
    """The message in the JSON that edgekit prints when it refuses."""
    try:
        told = json.loads(stdout)
    except json.JSONDecodeError:
        return ""
    failed = told.get("failed") or [told]
    return str(failed[0].get("error", ""))


def by_onnxruntime(folder: Path, output: Path) -> dict[str, Outcome]:
    """ONNX Runtime's own static quantization: QDQ, per channel, uint8 activations, int8 weights, minimum to maximum."""
    file = output / "int8.onnx"
    finished = limited(sys.executable, str(HERE / "zoo_onnxruntime.py"), str(folder), str(file))
    return {"int8-onnx": outcome(finished, file if file.exists() else None)}


def by_onnx2tf(folder: Path, output: Path) -> dict[str, Outcome]:
    """onnx2tf with its default back end: float, then `-oiqt` with the same calibration feeds."""
    python = environment(ONNX2TF)
    made = {}
    for name, pattern in (("float", "*_float32.tflite"), ("int8", "*_full_integer_quant.tflite")):
        finished = limited(str(python), str(HERE / "zoo_onnx2tf.py"), name, str(folder), str(output / name))
        file = next(iter(sorted((output / name).glob(pattern))), None) if (output / name).is_dir() else None
        made[name] = outcome(finished, file)
    return made


def by_onnx2tf_and_ai_edge_quantizer(folder: Path, output: Path) -> dict[str, Outcome]:
    """onnx2tf's float file through ai-edge-quantizer's static int8 recipe."""
    source = next(iter(sorted((folder / "onnx2tf" / "float").glob("*_float32.tflite"))), None)
    python = environment(AI_EDGE_QUANTIZER)
    file = output / "int8.tflite"
    finished = limited(str(python), str(HERE / "zoo_ai_edge_quantizer.py"), str(source), str(folder), str(file))
    return {"int8": outcome(finished, file if file.exists() else None, "" if source else "onnx2tf wrote no float file")}


METHODS: Mapping[str, Method] = {
    "edgekit": Method(
        convert=by_edgekit, version=lambda: version("edgekit"), code=sources("converters", "edge/conversion", "runtimes")
    ),
    "onnxruntime": Method(convert=by_onnxruntime, version=lambda: version("onnxruntime"), code=(HERE / "zoo_onnxruntime.py",)),
    "onnx2tf": Method(convert=by_onnx2tf, version=installed(ONNX2TF), code=(HERE / "zoo_onnx2tf.py",)),
    "onnx2tf+ai-edge-quantizer": Method(
        convert=by_onnx2tf_and_ai_edge_quantizer,
        version=installed(AI_EDGE_QUANTIZER),
        code=(HERE / "zoo_ai_edge_quantizer.py", HERE / "zoo_onnx2tf.py"),
    ),
}
