"""What a layer multiplies its weights with, at some places of its output: the rows of a least-squares problem."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.ends import made_axis
from edgekit.converters.graph import Array, Floats, Graph, Node
from edgekit.converters.prune.layers import channel_axis, without
from edgekit.converters.prune.measure.answers import some_rows

LARGEST = 2304
"""Inputs of one output value (channels x kernel) beyond which only the bias is fitted: 3x3 over 256 channels, 42 MB of sums."""
PLACES = 64
"""Of each sample that are looked at."""


def is_fittable(graph: Graph, node: Node) -> bool:
    """Whether a kernel can be fitted by systems of equations, one for each group, of a size that is bearable."""
    kernel = graph.shape(node.inputs[1])
    if node.op == "Conv":
        return int(np.prod(kernel[1:])) <= LARGEST and len(kernel) == 4
    plain = node.op == "MatMul" or (node.op == "Gemm" and not node.integer("transA", 0) and node.number("alpha", 1.0) == 1.0)
    return plain and len(kernel) == 2 and kernel_inputs(node, kernel) <= LARGEST


def groups_of(graph: Graph, node: Node) -> tuple[int, Floats]:
    """(how many groups a fittable layer has, its kernel as [groups, inputs, outputs] of each)."""
    kernel = graph.constants[node.inputs[1]].astype(np.float64)
    if node.op == "Conv":
        groups = node.integer("group", 1)
        return groups, kernel.reshape(groups, len(kernel) // groups, -1).transpose(0, 2, 1)
    return 1, (kernel.T if node.op == "Gemm" and node.integer("transB", 0) else kernel)[None]


def output_rows(node: Node, values: Array, rows: NDArray[np.int64]) -> Array:
    """Some rows of channels of a layer's output, [rows, channels]."""
    return some_rows(values, made_axis(node, values.ndim), rows)


def row_shape(node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that the rows of a layer's output run over: all but that of its channels."""
    return without(shape, made_axis(node, len(shape)))


def patches(node: Node, values: Array, made: tuple[int, ...], kernel: tuple[int, ...], places: NDArray[np.int64]) -> Array:
    """What a layer multiplies its kernel with at the given rows of its output, [places, n], n in the kernel's own order."""
    if node.op != "Conv":
        return some_rows(values, channel_axis(node, values.ndim), places)
    high, wide = kernel[2:]
    strides, steps = node.integers("strides", (1, 1)), node.integers("dilations", (1, 1))
    top, left = _padding(node, values.shape[2:], made[2:], (high, wide), strides, steps)[:2]
    batch, row, column = np.unravel_index(places, (made[0], *made[2:]))
    rows = row[:, None] * strides[0] - top + np.arange(high) * steps[0]
    columns = column[:, None] * strides[1] - left + np.arange(wide) * steps[1]
    inside = ((rows >= 0) & (rows < values.shape[2]))[:, :, None] & ((columns >= 0) & (columns < values.shape[3]))[:, None, :]
    picked = values[
        batch[:, None, None],
        :,
        np.clip(rows, 0, values.shape[2] - 1)[:, :, None],
        np.clip(columns, 0, values.shape[3] - 1)[:, None, :],
    ]
    rows_of_inputs: Array = np.moveaxis(picked * inside[..., None], -1, 1).reshape(len(places), -1)
    return rows_of_inputs


def kernel_inputs(node: Node, kernel: tuple[int, ...]) -> int:
    """How many inputs a matrix layer sums over."""
    return kernel[1] if node.op == "Gemm" and node.integer("transB", 0) else kernel[0]


def _padding(
    node: Node,
    size: tuple[int, ...],
    made: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    steps: tuple[int, ...],
) -> tuple[int, int]:
    """Rows above and columns left of the picture, as the node says or by its automatic rule."""
    rule = node.text("auto_pad", "NOTSET")
    if rule in ("NOTSET", ""):
        pads = node.integers("pads", (0, 0, 0, 0))
        return pads[0], pads[1]
    if rule == "VALID":
        return 0, 0
    total = [
        max((m - 1) * s + (k - 1) * d + 1 - n, 0) for m, s, k, d, n in zip(made, strides, kernel, steps, size, strict=True)
    ]
    before = [t // 2 if rule == "SAME_UPPER" else (t + 1) // 2 for t in total]
    return before[0], before[1]
