"""Where a network's answer is made: the last layers before its outputs, before softmax, sigmoid and decoding squash it."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.graph import Graph, Node

LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
MOVES = frozenset({"Concat", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that leave every value what it was."""


def made_axis(node: Node, rank: int) -> int:
    """The axis of the output along which a layer makes channels."""
    return 1 if node.op in ("Conv", "ConvTranspose") else rank - 1


def end_tensors(graph: Graph) -> Mapping[str, int]:
    """The tensors that the last layers make, and their channel axes; an output that no layer is behind stands for itself."""
    found: dict[str, int] = {}
    todo, seen = [spec.name for spec in graph.outputs], set[str]()
    while todo:
        name = todo.pop()
        node = graph.producers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if _is_layer(graph, node):
            found[name] = made_axis(node, len(graph.shape(name)))
        else:
            todo += [read for read in node.inputs if read]
    rest = [spec for spec in graph.outputs if spec.dtype.startswith("float") and spec.shape]
    return dict(sorted(found.items())) or {spec.name: len(spec.shape) - 1 for spec in rest}


def scored_ends(graph: Graph) -> frozenset[str]:
    """The end tensors whose values, moved about at most, go into a sigmoid: they say how sure the network is that something is there."""
    found = set()
    for end in end_tensors(graph):
        todo, seen = [end], set[str]()
        while todo:
            name = todo.pop()
            readers = () if name in seen else graph.consumers.get(name, ())
            seen.add(name)
            if any(node.op == "Sigmoid" for node in readers):
                found.add(end)
            todo += [made for node in readers if node.op in MOVES for made in node.outputs]
    return frozenset(found)


def _is_layer(graph: Graph, node: Node) -> bool:
    return node.op in LAYERS and graph.constant(node.inputs[1]) is not None
