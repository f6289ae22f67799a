"""Blocks: a multiply-accumulate operator with what is computed on its result. What is kept in float is kept in whole blocks."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.rules.roles import HEAVY, data_inputs

ROOTS = HEAVY | {"LSTM", "GRU", "RNN", "LayerNormalization"}


def blocks(graph: Graph) -> tuple[tuple[Node, ...], ...]:
    """Every node once, in blocks: each root with the nodes whose latest input comes from it; nodes before any root are one more."""
    block_of: dict[str, int] = {}
    found: list[list[Node]] = [[]]
    for node in graph.nodes:
        index = max((block_of.get(name, 0) for name in data_inputs(graph, node)), default=0)
        if node.op in ROOTS:
            index = len(found)
            found.append([])
        found[index].append(node)
        block_of |= dict.fromkeys(node.outputs, index)
    return tuple(tuple(block) for block in found if block)
