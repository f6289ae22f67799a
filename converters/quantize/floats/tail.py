"""The float tail: the end of a detection head, where one integer scale would have to span boxes and scores.

A scale that reaches box coordinates in the hundreds rounds every score below it to zero, and the exponentials and anchor grids of
a decoder multiply rounding errors. Such an end of the graph is a few elementwise nodes; it stays in float. Found by structure, not
by name: walking back from the outputs over nodes that only move data or compute elementwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.ranges.choose import Range
from edgekit.converters.quantize.rules.roles import CLAMPS, COMPUTES, HEAVY, MOVES, POOLS, data_inputs

UNLIKE = 4.0
"""Ranges whose spans differ by more than this factor cost the narrower one two bits or more when they share a scale."""

NEVER = (
    HEAVY
    | POOLS
    | {
        *(
            "GlobalAveragePool",
            "GlobalMaxPool",
            "ReduceMean",
            "BatchNormalization",
            "LayerNormalization",
            "InstanceNormalization",
        ),
        *("LSTM", "GRU", "RNN", "Einsum"),
    }
)
PROBABILITIES = frozenset({"Sigmoid", "Softmax"})
DECODERS = frozenset({"Exp", "Log", "Pow", "Sqrt", "Reciprocal", "NonMaxSuppression", "TopK"})


def float_tail(graph: Graph, ranges: Mapping[str, Range]) -> frozenset[str]:
    """Names of the trailing nodes that must stay float; empty when the outputs are fit for integers.

    `ranges` are those of the activations. Each connected end of the graph is judged alone: it stays float when it concatenates
    unlike ranges or probabilities with other numbers, or decodes (exponentials, divisions, per-position constants).
    """
    tail: set[str] = set()
    for part in _parts(graph, _trailing(graph)):
        if any(_decodes(graph, node) or _mixes(graph, node, ranges) for node in part):
            tail |= {node.name for node in _without_entry(graph, part)}
    return frozenset(tail)


def _trailing(graph: Graph) -> list[Node]:
    """Nodes from which every path to an output stays among nodes that only move data or compute elementwise, in order."""
    found: dict[str, Node] = {}
    for node in reversed(graph.nodes):
        readers = [reader for name in node.outputs for reader in graph.consumers.get(name, ())]
        leads_out = bool(readers) or any(name in graph.output_names for name in node.outputs)
        if (
            leads_out
            and all(reader.name in found for reader in readers)
            and (node.op not in NEVER or _is_expectation(graph, node))
        ):
            found[node.name] = node
    return list(reversed(found.values()))


def _is_expectation(graph: Graph, node: Node) -> bool:
    """Whether a Conv to one channel reads a Softmax: the expected value of a distribution, as box heads decode it."""
    if node.op != "Conv" or node.inputs[1] not in graph.constants or graph.constants[node.inputs[1]].shape[0] != 1:
        return False
    return _origin(graph, node.inputs[0]) == "Softmax"


def _origin(graph: Graph, name: str) -> str:
    """The op that computed a tensor, seen through nodes that only move data; empty for inputs and constants."""
    producer = graph.producers.get(name)
    while producer is not None and producer.op in MOVES:
        producer = graph.producers.get(producer.inputs[0])
    return producer.op if producer is not None else ""


def _parts(graph: Graph, nodes: list[Node]) -> Iterator[list[Node]]:
    """The nodes by connected component: two nodes are connected when one reads the other."""
    part_of: dict[str, list[Node]] = {}
    for node in nodes:
        part = [node]
        producers = (graph.producers[name].name for name in node.inputs if name in graph.producers)
        for other in {id(part_of[name]): part_of[name] for name in producers if name in part_of}.values():
            part = [*other, *part]
        part_of |= {member.name: part for member in part}
    yield from {id(part): part for part in part_of.values()}.values()


def _decodes(graph: Graph, node: Node) -> bool:
    """Whether a node is the arithmetic of a decoder: nonlinear, or with a constant that differs from place to place."""
    if node.op in DECODERS:
        return True
    constants = [graph.constants[name] for name in node.inputs if name in graph.constants]
    if node.op == "Div":
        return not constants or math.prod(constants[-1].shape) > 1 or node.inputs[1] not in graph.constants
    return node.op in {"Add", "Sub", "Mul"} and any(value.size > 1 for value in constants)


def _mixes(graph: Graph, node: Node, ranges: Mapping[str, Range]) -> bool:
    """Whether a Concat joins unlike ranges, or probabilities with something else."""
    if node.op != "Concat":
        return False
    names = [name for name in data_inputs(graph, node) if name not in graph.constants]
    probable = {_origin(graph, name) in PROBABILITIES for name in names}
    spans = [ranges[name].span for name in names if name in ranges and ranges[name].span > 0]
    return len(probable) > 1 or (bool(spans) and max(spans) > UNLIKE * min(spans))


def _without_entry(graph: Graph, part: list[Node]) -> list[Node]:
    """The part without its leading nodes that integers do as well: moves, and clamps that the node before absorbs."""
    inside = {node.name for node in part}
    for node in part:
        producer = graph.producers.get(node.inputs[0]) if node.inputs else None
        enters = producer is None or producer.name not in inside
        clamp = node.op in CLAMPS and producer is not None and producer.op in COMPUTES
        if enters and (node.op in MOVES or clamp):
            inside.discard(node.name)
    return [node for node in part if node.name in inside]
