"""Nodes that lose more in eight bits than they gain, on a CPU: normalisations, attention, and wide depthwise convolutions.

A variance is a mean of squares, whose few large values set the scale of all; the weights of attention over n places are near
1/n, where a step of 1/256 says nothing; the sums that run past every block of a transformer hold a few channels far larger than
the rest. And two kinds of node are slower in int8 than in float in LiteRT 2.x with XNNPACK (measured on x86-64 with AVX-VNNI):
products of two computed matrices (4 times on DeiT) and depthwise kernels beyond 5 x 5 (4 times on ConvNeXt).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.floats.recurrences import recurrences
from edgekit.converters.quantize.rules.roles import HEAVY, MOVES, data_inputs

ROOTS = frozenset({"Pow", "Sqrt", "Reciprocal"})
GUARDS = frozenset({"Add", "Max", "Clip"})
"""What keeps a root away from zero."""
WIDE = 25
"""Taps of the widest depthwise kernel that XNNPACK has int8 code for."""
SUMS = frozenset({"ReduceMean", "ReduceSum"})


def islands(graph: Graph) -> frozenset[str]:
    """Names of the nodes of normalisations and what runs past them, of attention, and of wide depthwise convolutions."""
    found: set[str] = set()
    for node in graph.nodes:
        if node.op in ROOTS and (before := _mean_of_squares(graph, node)):
            found |= {other.name for other in (*before, *_scaling(graph, node))}
        elif (node.op == "Softmax" and _weighs(graph, node.output)) or _is_product(graph, node) or _is_wide(graph, node):
            found.add(node.name)
    found |= {node.name for node in graph.nodes if _runs_past(graph, node, found)} | recurrences(graph).nodes
    return frozenset(found | _between(graph, found))


def _is_product(graph: Graph, node: Node) -> bool:
    return node.op == "MatMul" and not any(name in graph.constants for name in node.inputs)


def _is_wide(graph: Graph, node: Node) -> bool:
    weights = graph.constants.get(node.inputs[1]) if node.op == "Conv" else None
    depthwise = weights is not None and weights.shape[1] == 1 and node.integer("group", 1) == graph.shape(node.inputs[0])[1]
    return weights is not None and depthwise and prod(weights.shape[2:]) > WIDE


def _runs_past(graph: Graph, node: Node, found: set[str]) -> bool:
    """Whether a node adds a block's result to what ran past it, for a normalisation to read."""
    if node.op != "Add" or any(name in graph.constants for name in node.inputs):
        return False
    return any(reader.name in found for reader in graph.consumers.get(node.output, ()))


def _between(graph: Graph, found: set[str]) -> set[str]:
    """Light nodes that only nodes of `found` feed and read: converting to integers and back for them is in vain."""
    more: set[str] = set()
    for node in graph.nodes:
        if node.op in HEAVY or node.name in found:
            continue
        makers = [graph.producers.get(name) for name in data_inputs(graph, node) if name not in graph.constants]
        readers = [reader for name in node.outputs for reader in graph.consumers.get(name, ())]
        fed = makers and all(maker is not None and maker.name in found | more for maker in makers)
        if fed and readers and all(reader.name in found for reader in readers):
            more.add(node.name)
    return more


def _mean_of_squares(graph: Graph, root: Node) -> tuple[Node, ...]:
    """A root and what leads to it from the centred values, or nothing when it is no root of a mean or sum of squares."""
    chain, here = [root], graph.producers.get(root.inputs[0])
    while here is not None and here.op in GUARDS:
        chain.append(here)
        here = _computed(graph, here)
    square = graph.producers.get(here.inputs[0]) if here is not None and here.op in SUMS else None
    if here is None or square is None or not _is_square(graph, square):
        return ()
    return (*chain, here, square, *_centring(graph, square.inputs[0]))


def _computed(graph: Graph, node: Node) -> Node | None:
    """What computes the first operand that is not constant."""
    return next((graph.producers.get(name) for name in node.inputs if name and name not in graph.constants), None)


def _is_square(graph: Graph, node: Node) -> bool:
    if node.op == "Mul":
        return node.inputs[0] == node.inputs[1]
    exponent = graph.constants.get(node.inputs[1]) if node.op == "Pow" else None
    return exponent is not None and bool((exponent == 2).all())


def _centring(graph: Graph, name: str) -> tuple[Node, ...]:
    """x - mean x and that mean, when that is what a tensor is."""
    centred = graph.producers.get(name)
    mean = graph.producers.get(centred.inputs[1]) if centred is not None and centred.op == "Sub" else None
    return (centred, mean) if centred is not None and mean is not None and mean.op in SUMS else ()


def _scaling(graph: Graph, root: Node) -> Iterator[Node]:
    """What divides by the root, guarded or not, and the constant scale and bias after that."""
    for node in graph.consumers.get(root.output, ()):
        while node.op in GUARDS | {"Mul", "Div"}:
            yield node
            reader = graph.sole_consumer(node.output)
            if reader is None or not any(name in graph.constants for name in reader.inputs):
                break
            node = reader


def _weighs(graph: Graph, name: str) -> bool:
    """Whether a matrix product reads a tensor, maybe after it was moved."""
    readers = graph.consumers.get(name, ())
    return any(node.op == "MatMul" or (node.op in MOVES and _weighs(graph, node.output)) for node in readers)
