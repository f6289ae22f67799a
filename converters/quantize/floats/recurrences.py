"""Recurrent layers whose steps are written out: their state stays float on a CPU, and their weights are integers all the same.

What an LSTM adds to its cell at each step is smaller than a step of eight bits over the cell's range, and the error of each step
is an input of the next. The weights are most of such a model, and kernels that quantize a float input row by row ("dynamic
range") lose little by making those int8: 42 to 51 dB on LSTMs and GRUs of random weights, where states in int8 left 25 to 40.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.rules.roles import MOVES

ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Clip", "Neg", "Abs", "Split", "Slice", "Where"})
CELL = ARITHMETIC | {"Sigmoid", "Tanh", "Relu", "LeakyRelu", "Elu", "Exp", "Log"}
"""What a step does with its products; a choice holds the state of a sequence that has ended."""


@dataclass(frozen=True, kw_only=True)
class Recurrences:
    """Names of the products whose weights may be integers while they compute on floats, and of all nodes that stay float."""

    products: frozenset[str]
    nodes: frozenset[str]


def recurrences(graph: Graph) -> Recurrences:
    """The steps of recurrent layers, known by structure: products that share a weight, one reading what came of another."""
    products = _recurrent_products(graph)
    if not products:
        return Recurrences(products=frozenset(), nodes=frozenset())
    products |= _input_products(graph, _cells(graph, products.values()))
    steps = {**products, **_cells(graph, products.values())}
    moved, heads = _leading_out(graph, steps)
    nodes = {*steps, *moved, *heads}
    return Recurrences(products=frozenset({*products, *heads}), nodes=frozenset(nodes | _leading_in(graph, nodes)))


def _recurrent_products(graph: Graph) -> dict[str, Node]:
    shared: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if _is_product(graph, node):
            shared.setdefault(node.inputs[1], []).append(node)
    return {node.name: node for nodes in shared.values() if _leads_on(graph, nodes) for node in nodes}


def _is_product(graph: Graph, node: Node) -> bool:
    return node.op == "Gemm" and node.inputs[1] in graph.constants and node.inputs[0] not in graph.constants


def _leads_on(graph: Graph, nodes: list[Node]) -> bool:
    """Whether one of these products reads what the nodes of a cell made of another."""
    cells = _cells(graph, nodes[:-1])
    return any((maker := graph.producers.get(node.inputs[0])) is not None and maker.name in cells for node in nodes)


def _cells(graph: Graph, products: Iterable[Node]) -> dict[str, Node]:
    """The nodes that read what came of the products through nodes of a cell alone."""
    found: dict[str, Node] = {}
    waiting = list(products)
    while waiting:
        for name in waiting.pop().outputs:
            for reader in graph.consumers.get(name, ()):
                if reader.op in CELL and reader.name not in found:
                    found[reader.name] = reader
                    waiting.append(reader)
    return found


def _input_products(graph: Graph, cells: Mapping[str, Node]) -> dict[str, Node]:
    """The products whose rows, dealt out to the steps, the cells add."""
    found: dict[str, Node] = {}
    for cell in cells.values():
        for name in cell.inputs:
            maker = graph.producers.get(name)
            while maker is not None and maker.op in MOVES:
                maker = graph.producers.get(maker.inputs[0])
            if maker is not None and _is_product(graph, maker):
                found[maker.name] = maker
    return found


def _leading_out(graph: Graph, steps: Mapping[str, Node]) -> tuple[set[str], set[str]]:
    """Nodes that move or join the states alone, and the products that read them: states are too small for a scale of their own."""
    moved: set[str] = set()
    heads: set[str] = set()
    for node in graph.nodes:
        makers = [graph.producers.get(name) for name in node.inputs if name and name not in graph.constants]
        fed = bool(makers) and all(maker is not None and maker.name in steps.keys() | moved for maker in makers)
        if fed and node.name not in steps:
            moved |= {node.name} if node.op in MOVES | {"Concat"} else set()
            heads |= {node.name} if _is_product(graph, node) else set()
    return moved, heads


def _leading_in(graph: Graph, steps: Collection[str]) -> set[str]:
    """Nodes that only move or join data, and only for the steps: converting to integers and back for them is in vain."""
    found: set[str] = set()
    for node in reversed(graph.nodes):
        readers = [reader.name for name in node.outputs for reader in graph.consumers.get(name, ())]
        shown = any(name in graph.output_names for name in node.outputs)
        if node.op in MOVES | {"Concat"} and readers and not shown and all(name in steps or name in found for name in readers):
            found.add(node.name)
    return found
