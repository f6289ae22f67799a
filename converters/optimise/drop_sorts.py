"""Sorting one element, as exporters do with the lengths of a batch of one sequence."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Graph, Node, PassResult
from edgekit.converters.rewriting import Replacement, rewrite_at_once


def drop_sorts(graph: Graph) -> PassResult:
    """Replace TopK along a dimension of one element by its input, and its indices by zeros. Guarantees: outputs equal."""
    return rewrite_at_once(graph, _sorted_alone)


def _sorted_alone(graph: Graph, node: Node) -> Replacement | None:
    if node.op != "TopK" or node.domain or len(node.outputs) < 2 or node.inputs[0] not in graph.specs:
        return None
    shape, found = graph.shape(node.inputs[0]), graph.specs.get(node.outputs[1])
    if not shape or shape[node.integer("axis", -1)] != 1 or found is None or found.shape != shape:
        return None
    values, indices = node.outputs
    zeros = graph.unused(f"{indices}/zeros")
    made = (
        Node(op="Identity", name=node.name, inputs=(node.inputs[0],), outputs=(values,)),
        Node(op="Identity", name=f"{node.name}/indices", inputs=(zeros,), outputs=(indices,)),
    )
    wanted = tuple(one for one in made if one.output)
    return Replacement(nodes=wanted, constants={zeros: np.zeros(shape, np.int64)})
