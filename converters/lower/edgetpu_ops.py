"""What the Edge TPU compiler maps: one row per operator, with its limits and where they were read.

The compiler was frozen at 16.0 in mid-2021, so newer *versions* of an operator are refused whatever they compute. `newest` is
the last version that came with TensorFlow 2.5 (tensorflow/lite/tools/versioning/runtime_version.cc).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgekit.converters.tflite_file.read import Operator, Tensor, TFLiteFile

TABLE = "https://coral.ai/docs/edgetpu/models-intro/#supported-operations (also developer.axis.com artpec-7/supported-ops)"
TABLE_2019 = "github.com/dgist-datalab/Datalab_Intern Edge_TPU/convert_model_for_Edge_TPU.md (the table of 2019)"
CHANGES = "github.com/google-coral/edgetpu CHANGES.md, January 2020"
TWINS = "compiled twins of Google's test models (github.com/google-coral/test_data)"

SOFTMAX_ELEMENTS = 16_000
LARGEST_BILINEAR_SCALE = 8
"""Twice is mapped (movenet_single_pose_lightning), 33 times is not (deeplabv3_mnv2_dm05); between them nothing is published."""

Check = Callable[[TFLiteFile, Operator], str]
"""Why an operator is not mapped, or the empty string."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operator that the compiler knows: the newest version it takes, how many inputs it has at least, its limits, and
    where they were read."""

    newest: int
    inputs: int = 1
    checks: tuple[Check, ...] = ()
    source: str = TABLE


def _no_fused_activation(slot: int) -> Check:
    def check(file: TFLiteFile, operator: Operator) -> str:
        return "it has a fused activation" if operator.option(slot, "<b") else ""

    return check


def _same_dilation(width: int, height: int) -> Check:
    def check(file: TFLiteFile, operator: Operator) -> str:
        x, y = operator.option(width, "<i", 1), operator.option(height, "<i", 1)
        return "" if x == y else f"its dilation is {y} x {x}; both must be the same"

    return check


def _constant_weights(file: TFLiteFile, operator: Operator) -> str:
    weights = file.of(operator.inputs[1:2])
    return "" if weights and weights[0].constant else "its weights are computed; they must be constants"


def _concatenation(file: TFLiteFile, operator: Operator) -> str:
    parts = file.of(operator.inputs)
    constants = [part for part in parts if part.constant]
    if not constants:
        return ""
    zero = all(_all_zero(part) for part in constants)
    return "" if len(parts) == 2 and zero else "a constant is concatenated; only one other input and a constant of zeros may be"


def _fully_connected(file: TFLiteFile, operator: Operator) -> str:
    if operator.option(1, "<b"):
        return "its weights are in the shuffled format"
    output = file.of(operator.outputs)[0]
    wide = any(dim > 1 for dim in output.shape[:-1])
    return f"its output {list(output.shape)} is not one-dimensional" if wide else ""


def _not_on_batch(what: str, axes_of: Callable[[TFLiteFile, Operator], tuple[int, ...]]) -> Check:
    def check(file: TFLiteFile, operator: Operator) -> str:
        return f"it {what} the batch dimension" if 0 in axes_of(file, operator) else ""

    return check


def _reduced_axes(file: TFLiteFile, operator: Operator) -> tuple[int, ...]:
    data, axes = file.of(operator.inputs)[:2]
    rank = len(data.shape)
    return tuple(axis % rank for axis in axes.integers()) if rank > 1 else ()


def _packed_axis(file: TFLiteFile, operator: Operator) -> tuple[int, ...]:
    rank = len(file.of(operator.outputs)[0].shape)
    return (operator.option(1, "<i") % rank,) if rank > 1 else ()


def _split_axis(file: TFLiteFile, operator: Operator) -> tuple[int, ...]:
    axis, data = file.of(operator.inputs)[:2]
    rank = len(data.shape)
    return tuple(value % rank for value in axis.integers()) if rank > 1 else ()


def _padded_axes(file: TFLiteFile, operator: Operator) -> tuple[int, ...]:
    amounts = file.of(operator.inputs)[1].integers()
    pairs = zip(amounts[::2], amounts[1::2], strict=False)
    return tuple(axis for axis, pair in enumerate(pairs) if any(pair))


def _mean_depth(file: TFLiteFile, operator: Operator) -> str:
    data = file.of(operator.inputs)[0]
    rank = len(data.shape)
    depth = data.shape[-1] if rank else 1
    if rank == 4 and rank - 1 in _reduced_axes(file, operator) and depth % 4:
        return f"it averages over {depth} channels, which is not a multiple of 4"
    return ""


def _prelu(file: TFLiteFile, operator: Operator) -> str:
    alpha = file.of(operator.inputs)[1]
    wide = any(dim > 1 for dim in alpha.shape[:-1])
    return f"its alpha {list(alpha.shape)} has more than the innermost dimension" if wide else ""


def _bilinear(file: TFLiteFile, operator: Operator) -> str:
    before, after = file.of(operator.inputs)[0].shape, file.of(operator.outputs)[0].shape
    if len(before) != 4 or len(after) != 4:
        return ""
    scale = max(after[axis] / max(before[axis], 1) for axis in (1, 2))
    over = scale > LARGEST_BILINEAR_SCALE
    return f"it enlarges {scale:g} times, which would lose precision on the Edge TPU" if over else ""


def _softmax(file: TFLiteFile, operator: Operator) -> str:
    shape = file.of(operator.inputs)[0].shape
    if any(dim > 1 for dim in shape[:-1]):
        return f"its input {list(shape)} is not one-dimensional"
    size = shape[-1] if shape else 1
    return f"it has {size} elements, more than {SOFTMAX_ELEMENTS}" if size > SOFTMAX_ELEMENTS else ""


def _squeeze(file: TFLiteFile, operator: Operator) -> str:
    shape = file.of(operator.inputs)[0].shape
    kept = len(file.of(operator.outputs)[0].shape)
    leading = (
        all(dim == 1 for dim in shape[: len(shape) - kept]) and shape[len(shape) - kept :] == file.of(operator.outputs)[0].shape
    )
    return "" if leading else f"it removes other than the leading dimensions of {list(shape)}"


def _strided_slice(file: TFLiteFile, operator: Operator) -> str:
    if any(stride != 1 for stride in file.of(operator.inputs)[3].integers()):
        return "its strides are not all 1"
    masks = operator.option(2, "<i"), operator.option(3, "<i")
    return "it uses an ellipsis or new-axis mask" if any(masks) else ""


def _transpose(file: TFLiteFile, operator: Operator) -> str:
    return "only some permutations map, and which ones is not published"


def _all_zero(tensor: Tensor) -> bool:
    zero = tensor.zero_point[0] if tensor.zero_point else 0
    return bytes(tensor.data).count(zero % 256) == len(tensor.data)


_WEIGHTS = _constant_weights
ROWS: Mapping[str, Row] = {
    "ADD": Row(newest=3, inputs=2),
    "AVERAGE_POOL_2D": Row(newest=3, checks=(_no_fused_activation(5),)),
    "CONCATENATION": Row(newest=3, checks=(_no_fused_activation(1), _concatenation)),
    "CONV_2D": Row(newest=5, inputs=2, checks=(_WEIGHTS, _same_dilation(4, 5))),
    "DEPTHWISE_CONV_2D": Row(newest=5, inputs=2, checks=(_WEIGHTS, _same_dilation(5, 6))),
    "EXPAND_DIMS": Row(newest=1, inputs=2),
    "FULLY_CONNECTED": Row(newest=9, inputs=2, checks=(_WEIGHTS, _fully_connected)),
    "L2_NORMALIZATION": Row(newest=2),
    "LOGISTIC": Row(newest=3),
    "MAXIMUM": Row(newest=4, inputs=2),
    "MAX_POOL_2D": Row(newest=3, checks=(_no_fused_activation(5),)),
    "MEAN": Row(newest=3, inputs=2, checks=(_not_on_batch("averages over", _reduced_axes), _mean_depth)),
    "MINIMUM": Row(newest=4, inputs=2),
    "MUL": Row(newest=4, inputs=2),
    "PACK": Row(newest=3, checks=(_not_on_batch("packs along", _packed_axis),)),
    "PAD": Row(newest=3, inputs=2, checks=(_not_on_batch("pads", _padded_axes),)),
    "PRELU": Row(newest=1, inputs=2, checks=(_prelu,)),
    "QUANTIZE": Row(newest=2),
    "REDUCE_MAX": Row(newest=3, inputs=2, checks=(_not_on_batch("reduces", _reduced_axes),)),
    "REDUCE_MIN": Row(newest=3, inputs=2, checks=(_not_on_batch("reduces", _reduced_axes),)),
    "RELU": Row(newest=3),
    "RELU6": Row(newest=3),
    "RELU_N1_TO_1": Row(newest=1),
    "RESHAPE": Row(newest=1),
    "RESIZE_BILINEAR": Row(newest=4, inputs=2, checks=(_bilinear,), source=f"{TABLE}; {TWINS}"),
    "RESIZE_NEAREST_NEIGHBOR": Row(newest=4, inputs=2),
    "RSQRT": Row(newest=2),
    "SLICE": Row(newest=5, inputs=2, source=TABLE_2019),
    "SOFTMAX": Row(newest=3, checks=(_softmax,), source=TABLE_2019),
    "SPACE_TO_DEPTH": Row(newest=2, source=TABLE_2019),
    "SPLIT": Row(newest=4, inputs=2, checks=(_not_on_batch("splits", _split_axis),), source=f"{TABLE_2019}; {TWINS}"),
    "SQUARED_DIFFERENCE": Row(newest=2, inputs=2),
    "SQUEEZE": Row(newest=2, checks=(_squeeze,), source=TABLE_2019),
    "STRIDED_SLICE": Row(newest=5, inputs=4, checks=(_strided_slice,), source=TABLE_2019),
    "SUB": Row(newest=5, inputs=2),
    "SUM": Row(newest=2, inputs=2, checks=(_not_on_batch("sums over", _reduced_axes),)),
    "TANH": Row(newest=3),
    "TRANSPOSE": Row(
        newest=5, inputs=2, checks=(_transpose,), source="github.com/ultralytics/ultralytics issue 4089 (a compiler log)"
    ),
    "TRANSPOSE_CONV": Row(newest=3, inputs=3, source=CHANGES),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Row(newest=3, source=f"{TABLE}; {TWINS}"),
}

ADVICE: Mapping[str, str] = {
    "HARD_SWISH": "write it as x * relu6(x + 3) / 6: ADD, RELU6 and MUL map",
    "LEAKY_RELU": "write it as maximum(x, a * x): MUL and MAXIMUM map",
    "ELU": "train with ReLU or ReLU6",
    "GELU": "train with ReLU or ReLU6",
    "DIV": "by a constant: multiply by its reciprocal",
    "DEPTH_TO_SPACE": "use a transposed convolution",
    "ARG_MAX": "leave it out of the model and take the maximum of its input afterwards",
    "TRANSPOSE": "keep the layout that the engine has: move it out of the model",
}
"""What to write instead of an operator that does not map."""
