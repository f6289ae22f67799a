"""Groups of convolutions where the engine has none."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.geometry import group_count
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Scribe


def split_groups(graph: Graph, node: Node) -> Replacement | None:
    """A grouped (not depthwise) convolution as one convolution per group between Split and Concat."""
    groups = group_count(node) if node.op == "Conv" else 1
    shape, weights = graph.shape(node.inputs[0]), graph.constants.get(node.inputs[1]) if groups > 1 else None
    if weights is None or groups == shape[1]:
        return None
    scribe, out = Scribe(graph, node), graph.shape(node.output)
    part, made = (shape[0], shape[1] // groups, *shape[2:]), (out[0], out[1] // groups, *out[2:])
    biases = np.split(graph.constants[node.inputs[2]], groups) if len(node.inputs) > 2 and node.inputs[2] else [None] * groups
    results = []
    for index, (kernel, bias) in enumerate(zip(np.split(weights, groups), biases, strict=True)):
        bounds = [scribe.constant(f"{label}{index}", value, "int64") for label, value in _bounds(index, part[1])]
        x = scribe.add("Slice", [node.inputs[0], *bounds], part, f"part{index}")
        rest = [scribe.constant(f"weights{index}", kernel)] + ([] if bias is None else [scribe.constant(f"bias{index}", bias)])
        results.append(scribe.add("Conv", [x, *rest], made, f"group{index}", **{**node.attributes, "group": 1}))
    return scribe.finish("Concat", results, axis=1)


def _bounds(index: int, width: int) -> tuple[tuple[str, list[int]], ...]:
    return (("start", [index * width]), ("end", [(index + 1) * width]), ("axis", [1]))


def dense_transposed(graph: Graph, node: Node) -> Replacement | None:
    """A grouped transposed convolution as one whose weights between groups are zero."""
    groups = group_count(node) if node.op == "ConvTranspose" else 1
    weights = graph.constants.get(node.inputs[1]) if groups > 1 else None
    if weights is None:
        return None
    channels, width = weights.shape[:2]
    dense = np.zeros((channels, width * groups, *weights.shape[2:]), weights.dtype)
    for group, block in enumerate(np.split(weights, groups)):
        rows = slice(group * channels // groups, (group + 1) * channels // groups)
        dense[rows, group * width : (group + 1) * width] = block
    scribe = Scribe(graph, node)
    return scribe.again([node.inputs[0], scribe.constant("dense", dense), *node.inputs[2:]], group=1)
