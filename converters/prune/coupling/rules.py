"""What every operator means for channels: labels of its inputs in, labels of its outputs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgekit.converters.graph import Node
from edgekit.converters.prune.coupling.channels import Axes
from edgekit.converters.prune.coupling.rules_layers import batch_norm, conv, conv_transpose, gemm, matmul
from edgekit.converters.prune.coupling.rules_move import (
    concat,
    depth_to_space,
    expand,
    gather,
    pad,
    reshape,
    resize,
    slice_,
    space_to_depth,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from edgekit.converters.prune.coupling.rules_values import across, elementwise, pool
from edgekit.converters.prune.coupling.walk import Walk, keep_all

Rule = Callable[[Walk, Node], list[Axes]]

_ELEMENTWISE = (
    "Abs Add And BitShift Cast Ceil Celu Clip Cos Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid "
    "HardSwish Identity LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu "
    "Sigmoid Sign Sin Softplus Softsign Sqrt Sub Sum Tanh ThresholdedRelu Where Xor"
)
_ACROSS = (
    "ArgMax ArgMin CumSum LayerNormalization LogSoftmax LpNormalization RMSNormalization ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax "
    "ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax"
)
_POOLS = "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool"


def shape_of(walk: Walk, node: Node) -> list[Axes]:
    """Shape and Size: what they say of an axis must stay true."""
    return keep_all(walk, node, f"{node.op} says how many there are")


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), elementwise),
    **dict.fromkeys(_ACROSS.split(), across),
    **dict.fromkeys(_POOLS.split(), pool),
    "BatchNormalization": batch_norm,
    "InstanceNormalization": batch_norm,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": reshape,
    "Gather": gather,
    "Gemm": gemm,
    "MatMul": matmul,
    "Pad": pad,
    "Reshape": reshape,
    "Resize": resize,
    "Shape": shape_of,
    "Size": shape_of,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
