"""Nodes that reckon where something is read: a place among 500 cannot be said in 256 steps."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.rules.roles import ELEMENTWISE, MOVES, data_inputs

STEPS = ELEMENTWISE | MOVES | {"Round", "Ceil", "Concat"}
"""What places are reckoned with."""
READERS = frozenset({"Gather", "GatherND", "GatherElements", "Reshape", "Add", "Concat", "Mod"})
"""What leads from a whole number to what is read there."""


def places(graph: Graph) -> frozenset[str]:
    """Names of the nodes that lead to an index that something is read by, and what is reckoned from these alone."""
    found: set[str] = set()
    waiting = [
        graph.producers[node.inputs[0]] for node in graph.nodes if _counts(graph, node) and node.inputs[0] in graph.producers
    ]
    while waiting:
        node = waiting.pop()
        if node.name in found or node.op not in STEPS:
            continue
        found.add(node.name)
        waiting += [graph.producers[name] for name in data_inputs(graph, node) if name in graph.producers]
    for node in graph.nodes:
        makers = [graph.producers.get(name) for name in data_inputs(graph, node) if name not in graph.constants]
        if node.op in ("Sub", "Add") and makers and all(maker is not None and maker.name in found for maker in makers):
            found.add(node.name)
    return frozenset(found)


def _counts(graph: Graph, node: Node) -> bool:
    """Whether a node makes whole numbers of reals, for something to be read by."""
    if node.op != "Cast" or not graph.specs[node.output].dtype.startswith("int"):
        return False
    if not graph.specs[node.inputs[0]].dtype.startswith("float"):
        return False
    return _indexes(graph, node.output, 4)


def _indexes(graph: Graph, name: str, steps: int) -> bool:
    """Whether a tensor of whole numbers is what a gather reads by, after a few steps at most."""
    for reader in graph.consumers.get(name, ()):
        if reader.op in ("Gather", "GatherND", "GatherElements") and name == reader.inputs[1]:
            return True
        if steps and reader.op in READERS and reader.outputs and _indexes(graph, reader.output, steps - 1):
            return True
    return False
