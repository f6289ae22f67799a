"""Our float TFLite beside onnx2tf's of the same model, both in LiteRT, in turns, in one process. Writes results/peers.json.

onnx2tf needs Python 3.12 or later and TensorFlow, so it gets an environment of its own (PEERS_HOME keeps it, else it is
temporary; about 3 GB, minutes). With `--work FOLDER` its files are kept there, and `--prepare` makes nothing but those: what is left
to measure takes seconds, on a machine that should do nothing else then.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import SHARED, conditions, edgekit, run, write
from peer_environments import ONNX2TF, environment, installed

from edgekit.artifact import read
from edgekit.core.optional import need

MODEL = SHARED / "models_onnx" / "yolox_nano.onnx"
BACKENDS = ("flatbuffer_direct", "tf_converter")
"""Its default, and its older way through TensorFlow's own converter."""
ROUNDS, WARMUP, THREADS = 120, 10, 1


def main() -> int:
    """Convert with both, run all in turns, write the ratio of the medians: ours over the faster of theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=None, help="keep the peer's files here and use those that are")
    parser.add_argument("--prepare", action="store_true", help="make the peer's files and measure nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        theirs = [converted_by_onnx2tf((arguments.work or Path(scratch)) / backend, backend) for backend in BACKENDS]
        if arguments.prepare:
            return 0
        ours = converted_by_edgekit(Path(scratch))
        our_ms, *their_ms = in_turns(ours, *theirs)
    peer = {"onnx2tf": installed(ONNX2TF)()}
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


def converted_by_onnx2tf(folder: Path, backend: str) -> Path:
    """The float32 file that onnx2tf writes through one of its two back ends; the one that is there already."""
    found = sorted(folder.glob("*_float32.tflite"))
    if found:
        return found[0]
    program = environment(ONNX2TF).parent / "onnx2tf"
    folder.parent.mkdir(parents=True, exist_ok=True)
    given = shutil.copy(MODEL, folder.parent / f"{backend}.onnx")  # onnx2tf writes what it simplified over its input
    done = run([str(program), "-i", str(given), "-o", str(folder), "-n", "-tb", backend])
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


if __name__ == "__main__":
    raise SystemExit(main())
