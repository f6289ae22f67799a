"""Parts without elements, which exporters leave behind (a roll by zero joins everything and nothing), are not joined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.names import Names
from edgekit.converters.optimise.drop_dead_code import drop_dead_code


def without_empty_parts(graph: Graph) -> Graph:
    """The graph with no empty part in a Concat that makes elements; what only made such parts is gone. All specs are static."""
    nodes = [_joined(graph, node) for node in graph.nodes]
    if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return _without_empty_pieces(drop_dead_code(graph.with_nodes(nodes)).graph)


def _joined(graph: Graph, node: Node) -> Node:
    if node.op != "Concat" or node.domain or 0 in graph.shape(node.output):
        return node
    parts = tuple(name for name in node.inputs if 0 not in graph.shape(name))
    return node if parts == node.inputs else replace(node, inputs=parts)


def _without_empty_pieces(graph: Graph) -> Graph:
    """Empty pieces of a Split that nobody reads are not cut off."""
    sizes: dict[str, Array] = {}
    nodes = [_cut(graph, node, sizes) for node in graph.nodes]
    return graph.with_nodes(nodes, constants=sizes) if sizes else graph


def _cut(graph: Graph, node: Node, sizes: dict[str, Array]) -> Node:
    """The Split without the empty pieces that nobody reads; the sizes of the others are put into `sizes`."""
    if node.op != "Split" or node.domain:
        return node
    axis = node.integer("axis", 0)
    pieces = {name: graph.shape(name)[axis] for name in node.outputs}
    kept = [name for name, size in pieces.items() if size or name in graph.consumers or name in graph.output_names]
    if len(kept) == len(node.outputs):
        return node
    name = Names(graph).free(f"{node.name}/sizes")
    sizes[name] = np.array([pieces[one] for one in kept], np.int64)
    attributes = {key: value for key, value in node.attributes.items() if key != "num_outputs"}
    return replace(node, inputs=(node.inputs[0], name), outputs=tuple(kept), attributes=attributes)
