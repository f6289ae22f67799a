"""Layers with weights: the channels they make are new, those they read are cut out of their kernels."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Node
from edgekit.converters.prune.coupling.channels import Axes, Ints
from edgekit.converters.prune.coupling.walk import Walk, keep_all


def conv(walk: Walk, node: Node) -> list[Axes]:
    """X [N, C, ...], W [M, C / group, ...], B [M]; depthwise kernels follow their input, other groups lose equally many."""
    source = walk.labels(node.inputs[0])
    if not _all_constant(walk, node):
        return keep_all(walk, node, "the weights of Conv are computed")
    walk.freeze((source[0], *source[2:]), f"Conv at {node.name!r} needs its whole picture")
    group, kernel = node.integer("group", 1), walk.shape(node.inputs[1])
    made = _depthwise(source[1], kernel[0]) if group > 1 and kernel[1] == 1 else _grouped(walk, node, source[1], group)
    if made is None:
        return [walk.unlabelled(node.output)]
    walk.cut(node, 1, 0, made, "passes" if group > 1 and kernel[1] == 1 else "makes")
    walk.cut(node, 2, 0, made, "passes")
    return [(None, made, *[None] * (len(kernel) - 2))]


def _depthwise(source: Ints | None, makes: int) -> Ints | None:
    """Each output channel goes with the input channel it is made of."""
    return None if source is None else np.repeat(source, makes // len(source))


def _grouped(walk: Walk, node: Node, source: Ints | None, group: int) -> Ints:
    """New labels for the outputs, the same for every group; the inputs of the groups are tied likewise and cut."""
    if source is not None:
        parts = source.reshape(group, -1)
        for part in parts[1:]:
            walk.channels.tie(parts[0], part)
        walk.cut(node, 1, 1, parts[0], "reads")
    return np.tile(walk.channels.fresh(walk.shape(node.inputs[1])[0] // group), group)


def conv_transpose(walk: Walk, node: Node) -> list[Axes]:
    """X [N, C, ...], W [C, M / group, ...], B [M]."""
    source, kernel, group = walk.labels(node.inputs[0]), walk.shape(node.inputs[1]), node.integer("group", 1)
    depthwise = group > 1 and group == kernel[0] and kernel[1] == 1
    if not _all_constant(walk, node) or (group > 1 and not depthwise):
        return keep_all(walk, node, f"ConvTranspose with {group} groups or computed weights")
    walk.freeze((source[0], *source[2:]), f"ConvTranspose at {node.name!r} needs its whole picture")
    walk.cut(node, 1, 0, source[1], "passes" if depthwise else "reads")
    made = source[1] if depthwise else walk.channels.fresh(kernel[1])
    if not depthwise:
        walk.cut(node, 1, 1, made, "makes")
    walk.cut(node, 2, 0, made, "passes")
    return [(None, made, *[None] * (len(kernel) - 2))]


def gemm(walk: Walk, node: Node) -> list[Axes]:
    """Y = A B + C with A [rows, K] and a constant B [K, N], either of them stored transposed."""
    if not _all_constant(walk, node):
        return keep_all(walk, node, "the weights of Gemm are computed")
    rows, read = walk.labels(node.inputs[0])[:: -1 if node.integer("transA", 0) else 1]
    walk.freeze((rows,), f"Gemm at {node.name!r} needs all rows")
    across = 0 if node.integer("transB", 0) else 1
    made = walk.channels.fresh(walk.shape(node.inputs[1])[across])
    walk.cut(node, 1, 1 - across, read, "reads")
    walk.cut(node, 1, across, made, "makes")
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = walk.shape(node.inputs[2])
        if bias and bias[-1] == len(made):
            walk.cut(node, 2, len(bias) - 1, made, "passes")
    return [(None, made)]


def matmul(walk: Walk, node: Node) -> list[Axes]:
    """A [..., rows, K] B [..., K, columns]; a constant B of two dimensions is a layer's weight."""
    left, right = (walk.labels(name) for name in node.inputs)
    if min(len(walk.shape(name)) for name in node.inputs) < 2:
        return keep_all(walk, node, "MatMul with a vector")
    weight = walk.constant(node.inputs[1])
    if weight is not None and weight.ndim == 2:
        made = walk.channels.fresh(weight.shape[1])
        walk.cut(node, 1, 0, left[-1], "reads")
        walk.cut(node, 1, 1, made, "makes")
        return [(*left[:-1], made)]
    if any(walk.constant(name) is not None for name in node.inputs):
        return keep_all(walk, node, "MatMul with a constant stack of matrices")
    return [(*_stacked(walk, node, left[:-2], right[:-2]), *_contracted(walk, node, left, right))]


def _contracted(walk: Walk, node: Node, left: Axes, right: Axes) -> Axes:
    """Rows of the left, columns of the right; what is summed over goes on both sides or on none."""
    one, other = left[-1], right[-2]
    if one is not None and other is not None:
        walk.channels.tie(one, other)
    else:
        walk.freeze((one, other), f"MatMul at {node.name!r} sums over them")
    return left[-2], right[-1]


def _stacked(walk: Walk, node: Node, left: Axes, right: Axes) -> Axes:
    """The axes before the matrices, tied where both have them (attention heads)."""
    shapes = [walk.shape(name)[:-2] for name in node.inputs]
    rank = max(map(len, shapes))
    made: list[Ints | None] = []
    for axis in range(-rank, 0):
        one, other = (axes[axis] if -axis <= len(axes) else None for axes in (left, right))
        wide = [-axis <= len(shape) and shape[axis] > 1 for shape in shapes]
        if one is not None and other is not None and all(wide):
            walk.channels.tie(one, other)
        elif all(wide):
            walk.freeze((one, other), f"MatMul at {node.name!r} pairs them with what cannot be cut")
            one = other = None
        made.append(one if wide[0] else other)
    return tuple(made)


def batch_norm(walk: Walk, node: Node) -> list[Axes]:
    """BatchNormalization and InstanceNormalization: one set of constants per channel."""
    if not _all_constant(walk, node) or len([name for name in node.outputs if name]) > 1:
        return keep_all(walk, node, f"{node.op} has computed parameters or more than one output")
    source = walk.labels(node.inputs[0])
    for index in range(1, len(node.inputs)):
        walk.cut(node, index, 0, source[1], "passes")
    if node.op == "InstanceNormalization":
        walk.freeze(source[2:], f"InstanceNormalization at {node.name!r} averages over them")
    return [source]


def _all_constant(walk: Walk, node: Node) -> bool:
    return all(walk.constant(name) is not None for name in node.inputs[1:] if name)
