"""Normalisations in means, differences and products, which every engine has."""

from __future__ import annotations

from math import prod

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.attributes import constant, given, normal_axis
from edgekit.converters.lower.tflite.legal.rewrite import DIMS, Replacement, Rule, Scribe


def layer_normalization(graph: Graph, node: Node) -> Replacement | None:
    """(x - mean) / sqrt(variance + epsilon) over the last dims, times the scale, plus the bias (LayerNormalization-17)."""
    if node.op != "LayerNormalization" or any(node.outputs[1:]):
        return None
    scribe, rank = Scribe(graph, node), len(graph.shape(node.output))
    axes = tuple(range(normal_axis(node.integer("axis", -1), rank), rank))
    even = _standardised(scribe, node.inputs[0], axes, node.number("epsilon", 1e-5))
    return _affine(scribe, even, node.inputs[1], given(node, 2))


def rms_normalization(graph: Graph, node: Node) -> Replacement | None:
    """x / sqrt(mean of squares + epsilon) over the last dims, times the scale (RMSNormalization-23)."""
    if node.op != "RMSNormalization":
        return None
    scribe, rank = Scribe(graph, node), len(graph.shape(node.output))
    axes = tuple(range(normal_axis(node.integer("axis", -1), rank), rank))
    return _affine(scribe, _scaled(scribe, node.inputs[0], axes, node.number("epsilon", 1e-5)), node.inputs[1], "")


def instance_normalization(graph: Graph, node: Node) -> Replacement | None:
    """The same over space, with a scale and a bias per channel (InstanceNormalization-6).

    Exporters write a group normalization as one over a view of [batch, groups, everything else]; there the view is told apart
    again into channels and space, which are not one run in memory.
    """
    if node.op != "InstanceNormalization":
        return None
    shape = graph.shape(node.output)
    columns = _columns(graph, node, (shape[1], *(1,) * (len(shape) - 2)))
    if columns is None:
        return None
    scribe, (x, apart, axes) = Scribe(graph, node), _told_apart(graph, node)
    x = x if apart == graph.shape(x) else scribe.view(x, apart, "groups")
    even = _standardised(scribe, x, axes, node.number("epsilon", 1e-5))
    even = even if apart == shape else scribe.view(even, shape, "whole")
    return _affine(
        scribe, even, *(scribe.constant(label, value) for label, value in zip(("scale", "bias"), columns, strict=True))
    )


def _told_apart(graph: Graph, node: Node) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """What is normalised, the shape to see it in, and over which axes: channels and space apart where they are known."""
    name, shape = node.inputs[0], graph.shape(node.inputs[0])
    as_it_is = name, shape, tuple(range(2, len(shape)))
    view = graph.producers.get(name)
    if view is None or view.op != "Reshape" or len(shape) != 3:
        return as_it_is
    source = graph.shape(view.inputs[0])
    if len(source) < 4 or source[0] != shape[0] or source[1] % shape[1]:
        return as_it_is
    few = source if len(source) < DIMS else (*source[:2], prod(source[2:]))
    return view.inputs[0], *_by_group(few, shape[1])


def group_normalization(graph: Graph, node: Node) -> Replacement | None:
    """The same over space and the channels of a group: channels are taken apart by a view (GroupNormalization-21 and -18)."""
    if node.op != "GroupNormalization":
        return None
    shape = graph.shape(node.output)
    columns = _columns(graph, node, (shape[1], *(1,) * (len(shape) - 2)))
    if columns is None:
        return None
    scribe, (apart, axes) = Scribe(graph, node), _by_group(shape, node.integer("num_groups", 1))
    x = node.inputs[0] if apart == shape else scribe.view(node.inputs[0], apart, "groups")
    even = _standardised(scribe, x, axes, node.number("epsilon", 1e-5))
    even = even if apart == shape else scribe.view(even, shape, "whole")
    return _affine(
        scribe, even, *(scribe.constant(label, value) for label, value in zip(("scale", "bias"), columns, strict=True))
    )


def _by_group(shape: tuple[int, ...], groups: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """[batch, channels, space...] with the channels of each group apart, and the axes of what a group holds; one group is all there is."""
    if groups == 1:
        return shape, tuple(range(1, len(shape)))
    apart = (shape[0], groups, shape[1] // groups, *shape[2:])
    return apart, tuple(range(2, len(apart)))


def _columns(graph: Graph, node: Node, shape: tuple[int, ...]) -> list[object] | None:
    """The constant scale and bias per channel, shaped to broadcast; None when one is computed or there are others than channels."""
    values = [constant(graph, node, index) for index in (1, 2)]
    if any(value is None or shape[0] % value.size for value in values):
        return None
    return [value.repeat(shape[0] // value.size).reshape(shape) for value in values if value is not None]


def _standardised(scribe: Scribe, x: str, axes: tuple[int, ...], epsilon: float) -> str:
    """x with mean 0 and variance 1 over `axes`."""
    mean = scribe.reduced("ReduceMean", x, axes, "mean")
    centred = scribe.add("Sub", [x, mean], scribe.shape(x), "centred")
    return _scaled(scribe, centred, axes, epsilon)


def _scaled(scribe: Scribe, x: str, axes: tuple[int, ...], epsilon: float) -> str:
    """x * (mean of squares + epsilon) ** -0.5."""
    squares = scribe.add("Mul", [x, x], scribe.shape(x), "squares")
    variance = scribe.reduced("ReduceMean", squares, axes, "variance")
    column = scribe.shape(variance)
    safe = scribe.add("Add", [variance, scribe.constant("epsilon", epsilon)], column, "safe")
    factor = scribe.add("Pow", [safe, scribe.constant("power", -0.5)], column, "factor")
    return scribe.add("Mul", [x, factor], scribe.shape(x), "even")


def _affine(scribe: Scribe, x: str, scale: str, bias: str) -> Replacement:
    """x * scale + bias; what changes nothing is left out."""
    steps = [(op, name) for op, name, neutral in (("Mul", scale, 1.0), ("Add", bias, 0.0)) if not _is(scribe, name, neutral)]
    for op, name in steps[:-1]:
        x = scribe.add(op, [x, name], scribe.shape(x), "scaled")
    return scribe.finish(steps[-1][0], [x, steps[-1][1]]) if steps else scribe.result(x)


def _is(scribe: Scribe, name: str, value: float) -> bool:
    """Whether a constant is nothing but that number, or absent."""
    found = scribe.known(name)
    return not name or (found is not None and bool(np.all(found == value)))


RULES: tuple[Rule, ...] = (
    layer_normalization,
    rms_normalization,
    instance_normalization,
    group_normalization,
)
