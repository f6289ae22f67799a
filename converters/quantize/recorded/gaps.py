"""What a source that came quantized computes in float: nodes that read or write a tensor without a grid of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.parameters import QuantParams
from edgekit.converters.quantize.rules.roles import HEAVY, JOINS, MOVES, POOLS, absorbed_by, data_inputs, is_float


def gaps(graph: Graph, source: Collection[str], grids: Mapping[str, QuantParams], *, heavy_inputs_only: bool) -> frozenset[str]:
    """The nodes of `graph` that stay in float: those on a tensor of the `source` that has no grid, and what lies between such.

    A tensor that a move, a pool or a clamp ties to one with a grid has that grid. Tensors that `source` does not know were made
    while the graph was brought into an engine's operators: what is between two grids stays in integers. With
    `heavy_inputs_only`, only what a multiply-accumulate operator reads decides, as it does for TensorRT.
    """
    known = covered(graph, grids)
    if heavy_inputs_only:
        return frozenset(n.name for n in graph.nodes if n.op in HEAVY and not _computed(graph, n) <= known)
    bare = {name for node in graph.nodes for name in _touched(graph, node) if name not in known}
    floats = {name for name in bare if name in source}
    while (
        reached := {name for node in graph.nodes if floats & _touched(graph, node) for name in _touched(graph, node) & bare}
        - floats
    ):
        floats |= reached
    return frozenset(node.name for node in graph.nodes if floats & _touched(graph, node))


def covered(graph: Graph, grids: Mapping[str, QuantParams]) -> frozenset[str]:
    """Tensors with a grid, and those that share it with one."""
    found = set(grids)
    while more := {name for node in graph.nodes for name in _tied(graph, node, found)} - found:
        found |= more
    return frozenset(found)


def joined(graph: Graph, grids: Mapping[str, QuantParams], source: Collection[str]) -> Mapping[str, QuantParams]:
    """The grids, and for tensors that were made on the way to a join with a grid that grid: no data need tell it."""
    found = dict(grids)
    for node in graph.nodes:
        if node.op in JOINS and node.output in grids:
            found |= {name: grids[node.output] for name in data_inputs(graph, node) if name not in source and name not in grids}
    return found


def _tied(graph: Graph, node: Node, found: Collection[str]) -> Iterator[str]:
    """What a node ties to a tensor that is known, either way."""
    if node.op in MOVES | POOLS:
        ends = {node.inputs[0], *node.outputs} - {""}
        yield from ends if not ends.isdisjoint(found) else ()
    for name in node.outputs:
        clamp = absorbed_by(graph, name) if name else None
        if clamp is not None and clamp.output in found:
            yield name


def _touched(graph: Graph, node: Node) -> frozenset[str]:
    """The float tensors that a node reads as data or writes, without constants."""
    return _computed(graph, node) | {name for name in node.outputs if name and is_float(graph, name)}


def _computed(graph: Graph, node: Node) -> frozenset[str]:
    return frozenset(name for name in data_inputs(graph, node) if name not in graph.constants)
