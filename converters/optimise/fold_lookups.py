"""Lookups whose answer is the same wherever they look, as token types and positions are that an exporter wrote as buffers."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Graph, Node, PassResult
from edgekit.converters.rewriting import Replacement, rewrite_at_once

LOOKUPS = frozenset({"Gather", "GatherElements", "GatherND"})


def fold_lookups(graph: Graph) -> PassResult:
    """Replace a lookup in a constant whose elements are all equal by a constant. Guarantees: outputs equal."""
    return rewrite_at_once(graph, _uniform)


def _uniform(graph: Graph, node: Node) -> Replacement | None:
    table = graph.constants.get(node.inputs[0]) if node.op in LOOKUPS and not node.domain else None
    if table is None or table.size == 0 or node.output not in graph.specs or not np.all(table == table.flat[0]):
        return None
    name = graph.unused(f"{node.output}/everywhere")
    everywhere = np.full(graph.shape(node.output), table.flat[0], table.dtype)
    same = Node(op="Identity", name=node.name, inputs=(name,), outputs=node.outputs)
    return Replacement(nodes=(same,), constants={name: everywhere})
