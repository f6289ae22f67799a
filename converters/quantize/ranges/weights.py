"""Weights as symmetric int8 in [-127, 127]: one scale per output channel, with room for the int32 bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.quantize.parameters import QuantParams

LIMIT = 127
BIAS_LIMIT = 2.0**30
"""Half of int32: a bias at this bound leaves the accumulator as much room again."""
FLOOR = 1e-12


def output_axis(graph: Graph, node: Node) -> int | None:
    """The axis of a heavy node's constant weight that counts output channels, or None where no axis does.

    Conv: 0. ConvTranspose: 1, but none when grouped (axis 1 then counts channels within a group). Gemm: by `transB`.
    MatMul with the constant on the right: the last; on the left: none.
    """
    weight = graph.constants[weight_name(graph, node)]
    if node.op == "Conv":
        return 0
    if node.op == "ConvTranspose":
        return 1 if node.attributes.get("group", 1) == 1 else None
    if node.op == "Gemm":
        return 0 if node.attributes.get("transB", 0) else 1
    return weight.ndim - 1 if node.inputs[1] in graph.constants and weight.ndim > 1 else None


def weight_name(graph: Graph, node: Node) -> str:
    """The constant operand of a heavy node: the second input, or the first of a MatMul; empty when both are computed."""
    candidates = node.inputs[:2] if node.op == "MatMul" else node.inputs[1:2]
    return next((name for name in reversed(candidates) if name in graph.constants), "")


def weight_params(
    weight: Array, axis: int | None, *, bias: Array | None = None, input_scale: float | None = None
) -> QuantParams:
    """Symmetric int8 parameters of a weight array, per slice of `axis` or (None) per tensor.

    When the bias and the input's scale are given, scales are enlarged until every |bias| / (input_scale * scale) fits int32 with
    room to spare; without that guard a channel of tiny weights and an ordinary bias saturates and destroys the layer
    (ONNX Runtime issue 11415). A dead channel borrows the layer's largest scale, so no scale is ever zero.
    """
    largest = _largest(weight, axis)
    scale = largest / LIMIT
    alive = scale > FLOOR
    scale = np.where(alive, scale, scale.max() if alive.any() else 1.0)
    if bias is not None and input_scale is not None and bias.size:
        scale = np.maximum(scale, _bias_floor(bias, scale.size, input_scale))
    return QuantParams(scale=scale.astype(np.float32), zero_point=np.zeros(scale.size, np.int32), dtype="int8", axis=axis)


def widest(first: QuantParams, second: QuantParams) -> QuantParams:
    """Scales that suit both uses of one weight; per tensor when the uses count channels on different axes."""
    if first.axis == second.axis:
        return replace(first, scale=np.maximum(first.scale, second.scale))
    scale = np.array([max(first.scale.max(), second.scale.max())], np.float32)
    return replace(first, scale=scale, zero_point=np.zeros(1, np.int32), axis=None)


def bias_params(input_params: QuantParams, weight: QuantParams) -> QuantParams:
    """The int32 parameters of a bias: scale_in * scale_weight, zero point 0; per channel (axis 0) when the weight is."""
    scale = input_params.scale.astype(np.float64) * weight.scale.astype(np.float64)
    axis = 0 if weight.per_channel else None
    return QuantParams(scale=scale.astype(np.float32), zero_point=np.zeros(scale.size, np.int32), dtype="int32", axis=axis)


def _largest(weight: Array, axis: int | None) -> NDArray[np.float64]:
    """The largest absolute value per slice of `axis`, or of all as one element."""
    absolute = np.abs(weight.astype(np.float64))
    if axis is None:
        return np.array([absolute.max(initial=0.0)])
    return np.asarray(absolute.max(axis=tuple(d for d in range(weight.ndim) if d != axis), initial=0.0))


def _bias_floor(bias: Array, channels: int, input_scale: float) -> NDArray[np.float64]:
    """The least scale per channel (or one for all) at which the bias fits."""
    least = np.abs(bias.astype(np.float64).reshape(-1)) / (BIAS_LIMIT * input_scale)
    return least if least.size == channels else np.full(channels, least.max())
