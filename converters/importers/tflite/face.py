"""The face of a TFLite file: shapes that are open, custom operators at its end, and what its input scale says of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from edgekit.converters.tflite_file.read import CUSTOM, Operator, Tensor, TFLiteFile
from edgekit.core.errors import InputError, Unsupported
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Preprocess, TensorSpec


def asked_shapes(file: TFLiteFile, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise unless every input has one shape, and the shapes asked for are those: the file's own constants depend on them."""
    known = {file.tensors[index].name: file.tensors[index] for index in file.inputs}
    for name, shape in shapes.items():
        if name not in known:
            raise InputError(f"the model has no input {name!r}", did_you_mean(name, list(known), "see 'edgekit inspect'"))
        if shape != known[name].shape:
            raise Unsupported(
                f"input {name!r} of a TFLite file has the fixed shape {_by(known[name].shape)}, not {_by(shape)}",
                "convert the model that the file was made from, with --input-shape",
            )
    for tensor in known.values():
        if tensor.dynamic and tensor.name not in shapes:
            raise InputError(
                f"input {tensor.name!r} has open sizes; the file was written for {_by(tensor.shape)}",
                f"is that the shape to use? --input-shape {tensor.name}={_by(tensor.shape)}",
            )


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def cut_tail(file: TFLiteFile) -> tuple[TFLiteFile, tuple[str, ...]]:
    """The file without custom operators that only make its outputs; what they read becomes the outputs instead."""
    notes: list[str] = []
    for operator in reversed(file.operators):
        if operator.op == CUSTOM and _makes_outputs_only(file, operator):
            file, note = _without(file, operator)
            notes.append(note)
    return file, tuple(notes)


def _makes_outputs_only(file: TFLiteFile, operator: Operator) -> bool:
    """Whether nothing else reads what it makes, and all that it reads is computed."""
    read = {index for other in file.operators for index in other.inputs}
    computed = [index for index in operator.inputs if index in file.producers]
    return bool(computed) and bool(operator.outputs) and set(operator.outputs) <= set(file.outputs) - read


def _without(file: TFLiteFile, operator: Operator) -> tuple[TFLiteFile, str]:
    kept = [index for index in file.outputs if index not in operator.outputs]
    found = [index for index in operator.inputs if index in file.producers]
    outputs = tuple(dict.fromkeys((*kept, *found)))
    names = ", ".join(repr(file.tensors[index].name) for index in found)
    note = (
        f"the custom op {operator.custom_code!r} at the end is left to the application: the outputs are what it reads, {names}"
    )
    operators = tuple(other for other in file.operators if other is not operator)
    return replace(file, operators=operators, outputs=outputs), note


def picture_of(file: TFLiteFile, inputs: tuple[TensorSpec, ...]) -> Preprocess | None:
    """How pixels go in, where the file's own scale says it: the stored byte is the pixel (int8: the pixel less 128)."""
    if len(file.inputs) != 1:
        return None
    tensor = file.tensors[file.inputs[0]]
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[3] not in (1, 3) or not _bytes(tensor):
        return None
    color: Literal["gray", "rgb"] = "gray" if tensor.shape[3] == 1 else "rgb"
    scale, zero = _rounded(tensor.scale[0]), (tensor.zero_point or (0,))[0] + (128 if tensor.dtype == "int8" else 0)
    _, height, width, _ = tensor.shape
    return Preprocess(
        input=inputs[0].name, height=height, width=width, layout="nhwc", color=color, scale=scale, mean=(scale * zero,)
    )


def _bytes(tensor: Tensor) -> bool:
    return len(tensor.scale) == 1 and tensor.dtype in ("uint8", "int8")


def _rounded(value: float) -> float:
    """A float32 with as many digits as it has."""
    return float(f"{value:.9g}")
