"""Run by zoo.py in onnx2tf's own environment: PRECISION of FOLDER/model.onnx into OUTPUT."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(precision: str, folder: Path, output: Path) -> int:
    """Calls the program. Its calibration wants its own names and layouts of the inputs: those of the float file it wrote."""
    # a copy, since it writes what it simplified over its input
    given = shutil.copy(folder / "model.onnx", output.parent / f"{precision}.onnx")
    command = [str(Path(sys.executable).parent / "onnx2tf"), "-i", str(given), "-o", str(output), "-n"]
    if precision == "float":
        return subprocess.run(command, stderr=subprocess.STDOUT, check=False).returncode
    written = next(iter(sorted((output.parent / "float").glob("*_float32.tflite"))), None)
    if written is None:
        print("Error: it wrote no float file")
        return 1
    with tempfile.TemporaryDirectory() as scratch, np.load(folder / "calibration.npz") as arrays:
        details = Interpreter(model_path=str(written)).get_input_details()
        for index, (name, detail) in enumerate(zip(arrays.files, details, strict=True)):
            file = Path(scratch) / f"{index}.npy"
            np.save(file, laid_out(arrays[name], tuple(detail["shape"])))
            command += ["-cind", detail["name"].removeprefix("serving_default_").removesuffix(":0"), str(file), "[0]", "[1]"]
        return subprocess.run([*command, "-oiqt"], stderr=subprocess.STDOUT, check=False).returncode


def laid_out(feeds: Any, shape: tuple[int, ...]) -> Any:
    """All feeds in the order of axes that one of them has in the file; mean 0 and deviation 1 then leave them as they are."""
    one = feeds[:1]
    order = next(order for order in permutations(range(one.ndim)) if tuple(one.shape[axis] for axis in order) == shape)
    return feeds.transpose(order)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
