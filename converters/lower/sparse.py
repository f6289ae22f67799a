"""Weights with two zeros in every four, which GPUs since Ampere skip: are they, and are they still after quantization?"""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.quantize.ranges.weights import output_axis, weight_name
from edgekit.converters.quantize.rules.roles import HEAVY

GROUP, ZEROS = 4, 2


def is_two_of_four(weight: Array, axis: int) -> bool:
    """Whether every four neighbours along `axis` (input channels) hold two zeros or more; false where it is no multiple of four."""
    if weight.shape[axis] % GROUP or not weight.size:
        return False
    grouped = np.moveaxis(weight, axis, -1).reshape(-1, GROUP)
    return bool(((grouped == 0).sum(axis=1) >= ZEROS).all())


def sparse_nodes(graph: Graph) -> tuple[str, ...]:
    """Names of the heavy nodes whose constant weight is two-of-four sparse along what it sums over."""
    return tuple(node.name for node in graph.nodes if _is_sparse(graph, node))


def _is_sparse(graph: Graph, node: Node) -> bool:
    name = weight_name(graph, node) if node.op in HEAVY else ""
    if not name:
        return False
    weight = graph.constants[name]
    axis = _summed_axis(graph, node, weight)
    return axis is not None and is_two_of_four(weight, axis)


def _summed_axis(graph: Graph, node: Node, weight: Array) -> int | None:
    """The axis of input channels: 1 for a Conv's, 0 for a ConvTranspose's, the other one for a matrix."""
    if node.op in {"Conv", "ConvTranspose"}:
        return 1 if node.op == "Conv" else 0
    out = output_axis(graph, node)
    return None if out is None or weight.ndim != 2 else 1 - out
