"""External data of ONNX files: only regular files inside the model's own folder, and only as much as the tensor needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto, external_data_helper

from edgekit.core.errors import InputError

MODEL_LIMIT_BYTES = (1 << 31) - (64 << 20)
"""Shape inference takes the model as one message of at most two gigabytes."""


def load_external_data(model: onnx.ModelProto, file: Path) -> None:
    """Read the external data of `model` (parsed from `file`) into its tensors.

    Raises `InputError` when a location is absolute, leaves the folder, is missing or a link to elsewhere, or is too short.
    """
    total = 0
    for tensor in _external_tensors(model.graph):
        total += _ensure_safe(tensor, file)
    if total > MODEL_LIMIT_BYTES:
        raise InputError(
            f"{str(file)!r} names {total / 2**30:.1f} GiB of external data, more than 2 GiB", "is this an edge model?"
        )
    external_data_helper.load_external_data_for_model(model, str(file.parent))


def _external_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Those of a graph and of the graphs inside its nodes."""
    yield from (tensor for tensor in graph.initializer if tensor.data_location == TensorProto.EXTERNAL)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        tensors = (attribute.t, *attribute.tensors)
        yield from (tensor for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL)
        for inner in (attribute.g, *attribute.graphs):
            yield from _external_tensors(inner)


def _ensure_safe(tensor: TensorProto, file: Path) -> int:
    """The number of bytes of one external tensor, after checking where they are."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    target = file.parent / location
    inside = file.parent.resolve()
    if not location or Path(location).is_absolute() or not target.resolve().is_relative_to(inside):
        raise InputError(f"tensor {tensor.name!r} of {str(file)!r} has external data outside its folder: {location!r}", _HINT)
    if not target.is_file():
        raise InputError(
            f"tensor {tensor.name!r} of {str(file)!r} needs the external data file {location!r}, which is missing", _HINT
        )
    offset, length = _number(entries, "offset", tensor), _number(entries, "length", tensor)
    if min(tensor.dims, default=1) < 0:
        raise InputError(f"tensor {tensor.name!r} has the shape {tuple(tensor.dims)}", _HINT)
    needed: int = math.prod(tensor.dims) * _item_bits(tensor) // 8
    available = target.stat().st_size - offset
    if available < max(length, needed) or (length and length < needed):
        message = f"tensor {tensor.name!r} needs {needed} bytes of {location!r}, which has {max(0, min(available, length or available))} for it"
        raise InputError(message, _HINT)
    return needed


def _number(entries: dict[str, str], key: str, tensor: TensorProto) -> int:
    text = entries.get(key, "0")
    if not text.isdecimal():
        raise InputError(f"tensor {tensor.name!r} has the external data {key} {text!r}, which is not a number", _HINT)
    return int(text)


def _item_bits(tensor: TensorProto) -> int:
    try:
        name = TensorProto.DataType.Name(tensor.data_type)
        itemsize: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError):
        raise InputError(f"tensor {tensor.name!r} is of an unknown type ({tensor.data_type})", _HINT) from None
    return 4 if name.endswith("INT4") else 8 * itemsize


_HINT = "copy the model with all its files, or export it again into one folder"
