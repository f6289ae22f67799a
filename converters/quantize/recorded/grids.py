"""The grids that QuantizeLinear and DequantizeLinear nodes state, and the same grids in an engine's own integers."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.quantize.parameters import LIMITS, IntegerType, QuantParams
from edgekit.converters.quantize.ranges.choose import Range, Scheme, spanned

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
ACTIVATIONS: tuple[IntegerType, ...] = ("int8", "uint8", "int16", "uint16")
"""What activations may be stored as."""


def grid_of(graph: Graph, node: Node) -> QuantParams | None:
    """The grid of a Q or DQ node, when it is constant and in blocks of a whole tensor or a whole channel."""
    scale = graph.constant(node.inputs[1])
    zero = graph.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if scale is None or (len(node.inputs) > 2 and node.inputs[2] and zero is None) or scale.ndim > 1:
        return None
    dtype = _dtype(graph, node, zero)
    if dtype not in LIMITS:
        return None
    rank = len(graph.shape(node.inputs[0]))
    axis = node.integer("axis", 1) % max(rank, 1) if scale.size > 1 else None
    flat = scale.astype(np.float32).reshape(-1)
    zeros = np.zeros(flat.shape, np.int32) if zero is None else zero.astype(np.int32).reshape(-1)
    return QuantParams(scale=flat, zero_point=zeros, dtype=dtype, axis=axis)  # type: ignore[arg-type]


def _dtype(graph: Graph, node: Node, zero: Array | None) -> str:
    """The integer type of a grid: its zero point's, or that of the stored tensor."""
    if zero is not None:
        return str(zero.dtype.name)
    return graph.specs[node.inputs[0]].dtype if node.op == DEQUANTIZE else graph.specs[node.output].dtype


def reals(params: QuantParams) -> Range:
    """The reals from the lowest step of a grid to the highest, zero always among them."""
    span = spanned(params)
    return Range(low=min(span.low, 0.0), high=max(span.high, 0.0))


def in_scheme(params: QuantParams, scheme: Scheme) -> QuantParams | None:
    """The same reals on the same steps in an engine's integers; None where it has no such grid."""
    (first, last), (low, high) = LIMITS[params.dtype], LIMITS[scheme.dtype]
    moved = params.zero_point + (low - first)
    if last - first != high - low:
        return None
    if scheme.symmetric and np.any(moved):
        return None
    return QuantParams(scale=params.scale, zero_point=moved.astype(np.int32), dtype=scheme.dtype)
