"""Our float TFLite beside onnx2tf's of the same model, both in LiteRT, in turns, in one process. Writes results/peers.json.

onnx2tf needs Python 3.12 or later and TensorFlow, so it gets an environment of its own (PEERS_VENV keeps it, else it is
temporary; about 3 GB, minutes). Nothing of it is a dependency of edgekit.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import ROOT, SHARED, conditions, edgekit, run, write

from edgekit.artifact import read
from edgekit.core.optional import need

MODEL = SHARED / "models_onnx" / "yolox_nano.onnx"
PACKAGES = ("onnx2tf", "tensorflow-cpu", "tf_keras", "onnx_graphsurgeon", "onnxsim", "psutil", "ai-edge-litert")
BACKENDS = ("flatbuffer_direct", "tf_converter")
"""Its default, and its older way through TensorFlow's own converter."""
ROUNDS, WARMUP, THREADS = 120, 10, 1


def main() -> int:
    """Convert with both, run all in turns, write the ratio of the medians: ours over the faster of theirs."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(os.environ.get("PEERS_VENV", Path(folder) / "venv"))
        theirs = [converted_by_onnx2tf(environment, Path(folder) / backend, backend) for backend in BACKENDS]
        ours = converted_by_edgekit(Path(folder))
        our_ms, *their_ms = in_turns(ours, *theirs)
        peer = {"onnx2tf": installed_version(environment)}
    write(
        "peers",
        {
            "conditions": {**conditions("ai-edge-litert"), **peer, "threads": THREADS, "rounds": ROUNDS, "model": MODEL.name},
            "edgekit_ms": round(our_ms, 3),
            "onnx2tf_ms": {backend: round(ms, 3) for backend, ms in zip(BACKENDS, their_ms, strict=True)},
            "ratio": round(our_ms / min(their_ms), 3),
        },
    )
    return 0


def converted_by_onnx2tf(environment: Path, folder: Path, backend: str) -> Path:
    """The float32 file that onnx2tf writes through one of its two back ends."""
    if not (environment / "bin" / "onnx2tf").exists():
        run([python312(), "-m", "venv", str(environment)])
        run([str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES])
    done = run([str(environment / "bin" / "onnx2tf"), "-i", str(MODEL), "-o", str(folder), "-n", "-tb", backend])
    found = sorted(folder.glob("*_float32.tflite"))
    if done.returncode or not found:
        raise SystemExit(f"onnx2tf wrote no float32 file (status {done.returncode})\n{done.stdout[-2000:]}")
    return found[0]


def converted_by_edgekit(folder: Path) -> Path:
    """The float32 file that edgekit writes."""
    edgekit("convert", str(MODEL), "--target", "rpi", "--precision", "fp32", "-o", str(folder / "edgekit"), "--json")
    return read(next((folder / "edgekit").glob("*/manifest.json")).parent).file("model")


def in_turns(*files: Path) -> tuple[float, ...]:
    """Median latency of each file in milliseconds; every round runs each once, so that the machine's mood falls on all."""
    interpreters = [opened(file) for file in files]
    taken: list[list[float]] = [[] for _ in files]
    for turn in range(WARMUP + ROUNDS):
        for interpreter, samples in zip(interpreters, taken, strict=True):
            started = time.perf_counter()
            interpreter.invoke()
            if turn >= WARMUP:
                samples.append(1000 * (time.perf_counter() - started))
    return tuple(median(samples) for samples in taken)


def opened(file: Path) -> Any:
    """A LiteRT interpreter with seeded input."""
    interpreter = need("ai_edge_litert.interpreter").Interpreter(model_path=str(file), num_threads=THREADS)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], (255 * rng.random(detail["shape"])).astype(detail["dtype"]))
    return interpreter


def python312() -> str:
    """A Python 3.12 or 3.13 that can make environments."""
    finder = [str(ROOT / ".ci" / "find-python"), "3.12", "3.13"]
    found = subprocess.run(finder, capture_output=True, text=True, check=False).stdout.split()
    if not found:
        raise SystemExit("onnx2tf needs Python 3.12 or later, and there is none here")
    return found[0]


def installed_version(environment: Path) -> str:
    """The version of onnx2tf in its environment."""
    code = "from importlib.metadata import version; print(version('onnx2tf'))"
    return run([str(environment / "bin" / "python"), "-c", code]).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
