"""Flattening a picture before a fully connected layer: the layer's weights are moved, not the data."""

from __future__ import annotations

from math import prod

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.layout import Permutation, channels_last, stored
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Scribe


def channels_last_flatten(graph: Graph, node: Node) -> Replacement | None:
    """Gemm(Flatten(x)) is Gemm(Flatten(x to channels last)) with the weights' columns in that order."""
    flat = graph.producers.get(node.inputs[0]) if node.op == "Gemm" else None
    if flat is None or flat.op not in ("Reshape", "Flatten", "Squeeze"):
        return None
    shape, weights = graph.shape(flat.inputs[0]), graph.constants.get(node.inputs[1])
    if weights is None or len(shape) not in (4, 5) or graph.shape(flat.output) != (shape[0], prod(shape[1:])):
        return None
    layout, scribe = channels_last(len(shape)), Scribe(graph, node)
    if shape[1] == 1 or prod(shape[2:]) == 1 or _in_order(graph, flat.inputs[0], layout):
        return None
    moved = scribe.add("Transpose", [flat.inputs[0]], stored(shape, layout), "channels_last", perm=layout)
    target = scribe.constant("flat_shape", graph.shape(flat.output), "int64")
    columns = weights.reshape(-1, *shape[1:]).transpose(0, *layout[1:]).reshape(weights.shape)
    x = scribe.add("Reshape", [moved, target], graph.shape(flat.output), "flat")
    return scribe.again([x, scribe.constant("weights", columns), *node.inputs[2:]])


def _in_order(graph: Graph, name: str, layout: Permutation) -> bool:
    """Whether the model itself brings the picture to channels last before it is flattened."""
    maker = graph.producers.get(name)
    return maker is not None and maker.op == "Transpose" and maker.integers("perm", ()) == layout
