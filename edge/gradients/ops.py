"""ONNX operators in PyTorch: one small function each, from a node and its input tensors to its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from edgekit.core.optional import need
from edgekit.gradients.call import Call
from edgekit.gradients.ops_layers import (
    average_pool,
    batch_norm,
    conv,
    conv_transpose,
    gemm,
    instance_norm,
    layer_norm,
    max_pool,
)
from edgekit.gradients.ops_move import (
    concat,
    depth_to_space,
    expand,
    gather,
    pad,
    reshape,
    resize,
    slices,
    space_to_depth,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from edgekit.gradients.ops_values import (
    cast,
    clip,
    divide,
    fold,
    functional,
    gelu,
    hard_sigmoid,
    mean,
    one,
    over_picture,
    prelu,
    reduce,
    softmax,
)

if TYPE_CHECKING:
    from torch import Tensor

OPS: Mapping[str, Callable[[Call], list[Tensor]]] = {
    **{
        name: one(name.lower())
        for name in [
            "Abs",
            "Ceil",
            "Cos",
            "Erf",
            "Exp",
            "Floor",
            "Log",
            "Neg",
            "Reciprocal",
            "Relu",
            "Round",
            "Sigmoid",
            "Sign",
            "Sin",
            "Sqrt",
            "Tanh",
        ]
    },
    "Add": fold(lambda a, b: a + b),
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Div": fold(divide),
    "Dropout": lambda call: [call[0]],
    "Elu": functional("elu", alpha=("alpha", 1.0)),
    "Expand": expand,
    "Flatten": reshape,
    "Gather": gather,
    "Gelu": gelu,
    "Gemm": gemm,
    "GlobalAveragePool": over_picture("mean"),
    "GlobalMaxPool": over_picture("amax"),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": functional("hardswish"),
    "Identity": lambda call: [call[0]],
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "LeakyRelu": functional("leaky_relu", negative_slope=("alpha", 0.01)),
    "LogSoftmax": softmax("log_softmax"),
    "MatMul": fold(lambda a, b: a @ b),
    "Max": fold(lambda a, b: need("torch").maximum(a, b)),
    "MaxPool": max_pool,
    "Mean": mean,
    "Min": fold(lambda a, b: need("torch").minimum(a, b)),
    "Mish": functional("mish"),
    "Mul": fold(lambda a, b: a * b),
    "PRelu": prelu,
    "Pad": pad,
    "Pow": fold(lambda a, b: a**b),
    "ReduceMax": reduce("amax"),
    "ReduceMean": reduce("mean"),
    "ReduceMin": reduce("amin"),
    "ReduceSum": reduce("sum"),
    "Reshape": reshape,
    "Resize": resize,
    "Slice": slices,
    "Softmax": softmax("softmax"),
    "Softplus": functional("softplus"),
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": fold(lambda a, b: a - b),
    "Sum": fold(lambda a, b: a + b),
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": lambda call: [need("torch").where(call[0], call[1], call[2])],
}
