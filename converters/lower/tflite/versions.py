"""The lowest version of each operator that expresses what is used, so that the oldest runtime can load the file.

Source: tensorflow/lite/tools/versioning/op_version.cc and runtime_version.cc. Everything here but what `NEWER` lists
needs a runtime of 2.5 or older, which is what the frozen Edge TPU compiler knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgekit.converters.lower.tflite.program import Operator, Program, Tensor

INT8_TWO = frozenset(
    {
        *("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "CONCATENATION", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "SUM"),
        *("REDUCE_MAX", "REDUCE_MIN", "PAD", "PADV2", "SOFTMAX", "LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1"),
        *("TRANSPOSE", "SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE", "GATHER", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
        *("LEAKY_RELU", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "BATCH_MATMUL", "ARG_MAX", "DEQUANTIZE", "TRANSPOSE_CONV", "ABS"),
        *("LOG_SOFTMAX", "EQUAL", "GREATER", "LESS", "MIRROR_PAD"),
    }
)
"""Operators whose int8 form is version 2 and whose float form is version 1."""


INT16: Mapping[str, int] = {
    **dict.fromkeys(("ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION", "PAD", "PADV2", "MIRROR_PAD", "MEAN"), 3),
    **dict.fromkeys(("SOFTMAX", "LOGISTIC", "TANH", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "DEQUANTIZE"), 3),
    **dict.fromkeys(("CONV_2D", "MUL", "SPLIT", "SLICE", "GATHER", "MAXIMUM", "MINIMUM"), 4),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 4),
    "DEPTHWISE_CONV_2D": 5,
    "SUB": 5,
    "TRANSPOSE": 5,
    "FULLY_CONNECTED": 7,
    "LEAKY_RELU": 2,
    "QUANTIZE": 2,
    "TRANSPOSE_CONV": 3,
}
"""Version of the int16 form of operators; 1 of those that are not named. All are known since 2.5 at the latest."""


def version(operator: Operator) -> int:
    """The lowest version with which `operator` may be written."""
    if any(tensor is not None and tensor.dtype == "int16" for tensor in (operator.inputs[0], operator.outputs[0])):
        return INT16.get(operator.name, 1)
    special = SPECIAL.get(operator.name)
    base = 2 if _is_int8(operator) and operator.name in INT8_TWO else 1
    return max(base, special(operator)) if special else base


BASE_RUNTIME = "2.5.0"
NEWER = {
    ("CONV_2D", 6): "2.9.0",
    ("GELU", 1): "2.9.0",
    ("GELU", 2): "2.9.0",
    ("SIGN", 1): "2.11.0",
    ("FULLY_CONNECTED", 12): "2.17.0",
}


def oldest_runtime(program: Program) -> str:
    """The oldest TensorFlow Lite release that knows every operator of a program."""
    needed = (NEWER.get((operator.name, version(operator)), BASE_RUNTIME) for operator in program.operators)
    return max((BASE_RUNTIME, *needed), key=lambda text: tuple(int(part) for part in text.split(".")))


def _first(operator: Operator) -> Tensor:
    tensor = operator.inputs[0]
    if tensor is None:
        raise ValueError(f"{operator.name} has no first input")
    return tensor


def _is_int8(operator: Operator) -> bool:
    return any(tensor is not None and tensor.dtype == "int8" for tensor in (operator.inputs[0], operator.outputs[0]))


def _is_hybrid(operator: Operator) -> bool:
    """Whether floats meet weights of int8."""
    weights = operator.inputs[1]
    return weights is not None and weights.dtype == "int8" and _first(operator).dtype == "float32"


def _convolution(operator: Operator) -> int:
    weights = operator.inputs[1]
    if operator.name == "CONV_2D" and weights is not None and weights.shape[3] != _first(operator).shape[3]:
        return 6
    if _is_hybrid(operator):
        return 5 if operator.name == "CONV_2D" else 6
    if _is_int8(operator):
        return 3
    dilated = any(operator.options.get(key, 1) != 1 for key in ("dilationHFactor", "dilationWFactor"))
    return 2 if dilated and operator.name == "DEPTHWISE_CONV_2D" else 1


def _fully_connected(operator: Operator) -> int:
    weights = operator.inputs[1]
    if _is_hybrid(operator) and weights is not None and weights.params is not None and weights.params.per_channel:
        return 12
    if len(operator.inputs) < 3 or operator.inputs[2] is None:
        return 6
    if operator.options.get("keepNumDims"):
        return 5
    return 3 if _is_hybrid(operator) else 4 if _is_int8(operator) else 1


def _multiply(operator: Operator) -> int:
    """An int8 product whose scales multiply to the output's scale or more needs version 3."""
    if not _is_int8(operator):
        return 1
    scales = [float(t.params.scale[0]) for t in (*operator.inputs, *operator.outputs) if t is not None and t.params]
    return 3 if len(scales) == 3 and scales[0] * scales[1] / scales[2] >= 1 else 2


def _resize(operator: Operator) -> int:
    return 3 if operator.options.get("halfPixelCenters") or operator.options.get("alignCorners") else 1


def _resize_bilinear(operator: Operator) -> int:
    return 3 if operator.options.get("halfPixelCenters") else 1


def _dequantize(operator: Operator) -> int:
    return 3 if _first(operator).dtype == "float16" else 1


def _high_rank(limit: int, at: int) -> Callable[[Operator], int]:
    return lambda operator: at if len(_first(operator).shape) > limit else 1


SPECIAL: Mapping[str, Callable[[Operator], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": lambda operator: 3 if len(operator.inputs) == 4 else 1,
    "MUL": _multiply,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RESIZE_BILINEAR": _resize_bilinear,
    "DEQUANTIZE": _dequantize,
    "TRANSPOSE": _high_rank(4, 4),
    "BROADCAST_TO": lambda operator: 2,
    "SUB": _high_rank(4, 3),
    "PAD": _high_rank(4, 3),
    "SLICE": _high_rank(4, 5),
}
