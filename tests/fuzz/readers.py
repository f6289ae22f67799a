"""A long fuzz of the readers of what comes from outside, with atheris (coverage-guided): `make fuzz`, or by hand

    python tests/fuzz/readers.py artifact|profile|onnx|tflite [SECONDS]

An EdgekitError is an answer; anything else is a find, and atheris keeps the input in the current folder.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "builders"))
with atheris.instrument_imports(include=["edgekit", "msgspec", "yaml"]):
    from busy import busy_onnx, busy_tflite
    from tiny import tiny_artifact, tiny_onnx, tiny_tflite

    from edgekit import artifact
    from edgekit.converters.importers import tflite as tflite_file
    from edgekit.converters.importers.onnx import file as onnx_file
    from edgekit.core import profiles
    from edgekit.core.errors import EdgekitError

SECONDS = 300


def artifact_reader(folder: Path) -> Callable[[bytes], object]:
    """Whatever stands in the manifest of an artifact that is otherwise whole."""
    made = tiny_artifact(folder, "onnx").path

    def read(data: bytes) -> object:
        (made / artifact.MANIFEST).write_bytes(data)
        return artifact.read(made)

    return read


def profile_reader(folder: Path) -> Callable[[bytes], object]:
    """Whatever stands in a hardware profile."""
    file = folder / "mine.yaml"

    def read(data: bytes) -> object:
        file.write_bytes(data)
        return profiles.read(file)

    return read


def onnx_reader(folder: Path) -> Callable[[bytes], object]:
    """Whatever calls itself an ONNX model."""
    return _model_reader(folder / "mine.onnx", onnx_file.load)


def tflite_reader(folder: Path) -> Callable[[bytes], object]:
    """Whatever calls itself a TFLite model."""
    return _model_reader(folder / "mine.tflite", tflite_file.load)


def _model_reader(file: Path, load: Callable[[Path], object]) -> Callable[[bytes], object]:
    def read(data: bytes) -> object:
        file.write_bytes(data)
        return load(file)

    return read


def beginnings(name: str) -> list[bytes]:
    """Sound files that the fuzzer changes."""
    if name == "onnx":
        return [tiny_onnx(), busy_onnx()]
    if name == "tflite":
        return [tiny_tflite(quantized=False), tiny_tflite(quantized=True), busy_tflite()]
    manifests = (Path(__file__).parents[2] / "edge" / "models").glob("**/manifest.json")
    return [path.read_bytes() for path in (manifests if name == "artifact" else profiles.shipped_folder().glob("*.yaml"))]


READERS = {"artifact": artifact_reader, "profile": profile_reader, "onnx": onnx_reader, "tflite": tflite_reader}


def main(name: str, seconds: int) -> None:
    """Fuzz one reader, from the real files as a beginning."""
    folder = Path(tempfile.mkdtemp())
    seeds = folder / "seeds"
    seeds.mkdir()
    for index, data in enumerate(beginnings(name)):
        (seeds / str(index)).write_bytes(data)
    read = READERS[name](folder)

    def one(data: bytes) -> None:
        try:
            read(data)
        except EdgekitError as error:
            assert error.message

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20", str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS)
