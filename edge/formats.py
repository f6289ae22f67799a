"""Which importer reads a file, and which engine answers for it: the one place that knows source formats by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgekit.converters.graph import Array
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers import keras, objects, pytorch, saved_model, tflite, trees
from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.converters.importers.tflite.face import cut_tail
from edgekit.converters.quantize.parameters import QuantParams, dequantize, quantize
from edgekit.converters.tflite_file import read as tflite_file
from edgekit.converters.tflite_file.read import Tensor, TFLiteFile
from edgekit.core.errors import ArtifactError, DeviceError, GateFailed, Unsupported
from edgekit.parity import Golden, parity
from edgekit.runtimes import litert
from edgekit.runtimes.onnxruntime import execute

Feed = Mapping[str, Array]
Run = Callable[[Feed], Feed]
Effort = Literal["none", "all"]


def import_model(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> Imported:
    """Read a model file with the importer of its format; `Unsupported` names the formats that can be read."""
    suffix = path.suffix.lower()
    if suffix == ".tflite" or _starts(path, tflite_file.IDENTIFIER, at=4):
        return tflite.load(path, input_shapes=input_shapes)
    if suffix in (".pt2", ".pt", ".pth", ".ts"):
        return faithful(pytorch.load(path, input_shapes=input_shapes))
    if suffix in (".keras", ".h5", ".hdf5"):
        return faithful(keras.load(path, input_shapes=input_shapes))
    if suffix in trees.SUFFIXES:
        return faithful(trees.load(path, input_shapes=input_shapes))
    if saved_model.is_saved_model(path):
        return faithful(saved_model.load(path, input_shapes=input_shapes))
    if suffix in _OTHER_FORMATS:
        what, hint = _OTHER_FORMATS[suffix]
        raise Unsupported(
            f"{path.name!r} is {what}; edgekit reads ONNX, TFLite, PyTorch, Keras and TensorFlow models and boosted trees", hint
        )
    return onnx_file.load(path, input_shapes=input_shapes)


def import_object(
    model: Any, name: str, input_shapes: Mapping[str, tuple[int, ...]], example_inputs: tuple[Any, ...] | None = None
) -> Imported:
    """Read a model that lives in this process, held to its framework's own answers as files are."""
    return faithful(objects.from_object(model, name=name, input_shapes=input_shapes, example_inputs=example_inputs))


def faithful(imported: Imported) -> Imported:
    """The model, after the exporter has been held to the framework's own answers. Raises `GateFailed` when they differ."""
    for feed, answers in imported.answers:
        found = parity(Golden(feeds=(feed,), answers=(answers,)), execute(imported.model), "fp32")
        if not found.ok:
            raise GateFailed(
                f"the exporter of {imported.source.framework} changed the model: {found.worst_output!r} is off by {found.value:.1e}",
                "export it to ONNX yourself, with another version or other options",
            )
    return imported


def reference_run(path: Path) -> Run:
    """A source model as it came, to be asked for its answers. Raises what importing it raises; shapes are the file's own."""
    if path.suffix.lower() == ".onnx":
        return execute(path)
    return source_run(path, import_model(path, {}))


def source_run(path: Path, imported: Imported, effort: Effort = "all") -> Run:
    """The source as it came, in its own engine: floats in and out, by name. `effort` "none" is that engine unoptimised."""
    if imported.source.framework == "tflite":
        return _tflite_run(path, imported, effort)
    return execute(imported.model or path, optimisation=effort)


def _tflite_run(path: Path, imported: Imported, effort: Effort) -> Run:
    """LiteRT on the file. A file that it refuses to load is answered for by the imported graph."""
    whole = tflite_file.load(path)
    file, cut = cut_tail(whole)
    try:
        run = litert.execute(path, inner=file.outputs if cut else (), kernels="plain" if effort == "none" else "xnnpack")
    except (ArtifactError, DeviceError):
        return execute(to_bytes(imported.graph), optimisation="none")
    return _through_grids(file, imported, run)


def _through_grids(file: TFLiteFile, imported: Imported, run: Callable[[list[Array]], tuple[Array, ...]]) -> Run:
    """Reals by the graph's names around raw arrays in the file's order."""
    into = [(spec.name, _grid(file.tensors[index])) for spec, index in zip(imported.graph.inputs, file.inputs, strict=True)]
    out = [(spec.name, _grid(file.tensors[index])) for spec, index in zip(imported.graph.outputs, file.outputs, strict=True)]

    def answer(feed: Feed) -> Feed:
        raw = [feed[name] if grid is None else quantize(feed[name], grid) for name, grid in into]
        found = run(raw)
        return {
            name: value if grid is None else dequantize(value, grid) for (name, grid), value in zip(out, found, strict=True)
        }

    return answer


def _grid(tensor: Tensor) -> QuantParams | None:
    """The grid of a quantized input or output."""
    if len(tensor.scale) != 1 or tensor.dtype not in ("int8", "uint8"):
        return None
    zero = np.array(tensor.zero_point or (0,), np.int32)
    return QuantParams(scale=np.array(tensor.scale, np.float32), zero_point=zero, dtype=tensor.dtype)  # type: ignore[arg-type]


def _starts(path: Path, magic: bytes, *, at: int) -> bool:
    """Whether a file has those bytes there, whatever it is called."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(at + len(magic))[at:] == magic


_PICKLE = (
    "a pickle, which may run any code when it is read",
    "load it where you trust it: edgekit.converters.importers.estimator.from_estimator(model, features=N)",
)
_OTHER_FORMATS = {
    ".pb": (
        "a TensorFlow graph without its folder",
        "where TensorFlow is: python -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
    ),
    ".gguf": ("a GGUF language model", "language models run as they are: convert is for networks"),
    ".safetensors": ("a file of weights without a program", "export the model to .onnx or .pt2 where its code is"),
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".joblib": _PICKLE,
}
