"""What `edgekit.load` costs beside the engine's own load and the hashes of the artifact's files, in turns. Writes results/loading.json.

python benchmarks/loading.py ARTIFACT...        artifacts of LiteRT and ONNX Runtime; else YOLOX, MobileNet and the shipped digits
"""

from __future__ import annotations

import gc
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from common import ROOT, SHARED, conditions, edgekit, write

ROUNDS = 41


def main() -> int:
    """Every artifact in turns: the engine by hand, then edgekit."""
    with tempfile.TemporaryDirectory() as folder:
        measured = [measure(path) for path in (map(Path, sys.argv[1:]) if sys.argv[1:] else _made(Path(folder)))]
    write(
        "loading",
        {"conditions": conditions("edgekit", "onnxruntime", "ai-edge-litert"), "rounds": ROUNDS, "artifacts": measured},
    )
    return 0


def measure(path: Path) -> dict[str, Any]:
    """Medians of both, and their ratio."""
    from edgekit.loading import load

    file = next(each for each in path.iterdir() if each.name.startswith("model."))
    own = _litert if file.suffix == ".tflite" else _onnxruntime
    both: dict[str, Callable[[], object]] = {
        "engine": lambda: (_hashes(path), own(file)),
        "edgekit": lambda: load(path, threads=1),
    }
    taken: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(ROUNDS + 1):
        for name, call in both.items():
            gc.collect()
            started = time.perf_counter()
            held = call()
            taken[name].append(1000 * (time.perf_counter() - started))
            del held
    medians = {name: median(values[1:]) for name, values in taken.items()}
    return {
        "artifact": path.name,
        "bytes": file.stat().st_size,
        "engine_ms": round(medians["engine"], 3),
        "edgekit_ms": round(medians["edgekit"], 3),
        "ratio": round(medians["edgekit"] / medians["engine"], 3),
    }


def _hashes(folder: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()]


def _litert(file: Path) -> object:
    from ai_edge_litert.interpreter import Interpreter

    found = Interpreter(model_path=str(file), num_threads=1)
    found.allocate_tensors()
    return found


def _onnxruntime(file: Path) -> object:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _made(folder: Path) -> Iterator[Path]:
    """Artifacts of real models, converted for this, and the shipped digits."""
    for model, target in (("yolox_nano.onnx", "rpi5"), ("yolox_nano.onnx", "cpu"), ("yunet_n_640_640.onnx", "rpi5")):
        edgekit("convert", str(SHARED / "models_onnx" / model), "--target", target, "--precision", "fp32", "-o", str(folder))
    yield from sorted(path for path in folder.iterdir() if path.is_dir())
    yield from sorted((ROOT / "edge/models/digits/artifacts").iterdir())


if __name__ == "__main__":
    raise SystemExit(main())
