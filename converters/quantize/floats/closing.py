"""What stays in float on a CPU because integers gain nothing there: last layers that cost nothing, and moves between floats.

Whatever integers do to the last product is seen in the outputs as it is, and nothing behind it averages that out: of a BERT's two
logits, 9 dB were lost in a matrix of 256 weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edgekit.converters.cost import node_macs
from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.ranges.weights import weight_name
from edgekit.converters.quantize.rules.roles import CLAMPS, MOVES, data_inputs

MACS_SHARE = 0.01
WEIGHTS_SHARE = 0.005
"""What the end may be of a network's multiply-accumulates and of its constants: neither is felt."""
FEW = 1024
"""Weights that are not felt in the smallest network: 3 kB more."""
PRODUCTS = frozenset({"Gemm", "MatMul"})
LIGHT = (MOVES | CLAMPS | {"Add", "Tanh", "Sigmoid", "Softmax", "LogSoftmax"}) - {"Gather"}


def closing(graph: Graph) -> frozenset[str]:
    """Names of the products at the outputs that cost nothing in float, and of all nodes behind them; empty where there are none."""
    macs = MACS_SHARE * sum(node_macs(graph, node) for node in graph.nodes)
    weights = max(FEW, WEIGHTS_SHARE * sum(value.size for value in graph.constants.values()))
    end: dict[str, Node] = {}
    for node in _trailing(graph, end):
        macs -= node_macs(graph, node)
        weights -= sum(graph.constants[name].size for name in node.inputs if name in graph.constants)
        if macs >= 0 and weights >= 0:
            end[node.name] = node
    return _behind_products(graph, end)


def _trailing(graph: Graph, end: dict[str, Node]) -> Iterator[Node]:
    """From the last node on, those that only the outputs and nodes in `end` read."""
    for node in reversed(graph.nodes):
        readers = [reader for name in node.outputs for reader in graph.consumers.get(name, ())]
        shown = any(name in graph.output_names for name in node.outputs)
        light = node.op in LIGHT or (node.op in PRODUCTS and weight_name(graph, node) != "")
        if light and (shown or readers) and all(reader.name in end for reader in readers):
            yield node


def _behind_products(graph: Graph, end: dict[str, Node]) -> frozenset[str]:
    """The products of the end, and the nodes that read what came of them."""
    found: set[str] = set()
    for name, node in reversed(end.items()):
        makers = {graph.producers[source].name for source in node.inputs if source in graph.producers}
        if node.op in PRODUCTS or makers & found:
            found.add(name)
    return frozenset(found)


def moved_between(graph: Graph, floats: Collection[str]) -> frozenset[str]:
    """Nodes that move or join data from floats, or from graph inputs, to floats: integers on the way would be rounding in vain."""
    leading: set[str] = set()
    for node in reversed(graph.nodes):
        readers = [reader.name for name in node.outputs for reader in graph.consumers.get(name, ())]
        if node.op in MOVES | {"Concat"} and readers and all(name in floats or name in leading for name in readers):
            leading |= set() if any(name in graph.output_names for name in node.outputs) else {node.name}
    found: set[str] = set()
    for node in graph.nodes:
        data = data_inputs(graph, node)
        makers = [graph.producers.get(name) for name in data if name not in graph.constants]
        fed = bool(makers) and all(maker is None or maker.name in floats or maker.name in found for maker in makers)
        found |= {node.name} if node.name in leading and fed else set()
    return frozenset(found)
