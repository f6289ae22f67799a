"""Nodes in an order in which each reads only what is there already; what cannot be ordered is named."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence

import onnx

from edgekit.core.errors import InputError, Unsupported

AGAIN = "export the model again"


def put_in_order(model: onnx.ModelProto) -> tuple[str, ...]:
    """Sort the model's nodes when they are not sorted, and say so in a note.

    Raises `InputError` for a tensor that nothing makes, that is made twice, or that needs itself, and `Unsupported` for sparse
    constants, which no later stage reads.
    """
    graph = model.graph
    if graph.sparse_initializer:
        raise Unsupported(f"the constant {graph.sparse_initializer[0].values.name!r} is stored sparse", "export it dense")
    inputs, constants = [value.name for value in graph.input], [tensor.name for tensor in graph.initializer]
    for names, what in ((inputs, "inputs"), (constants, "constants"), ([v.name for v in graph.output], "outputs")):
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise InputError(f"the model has several {what} called {repeated[0]!r}", AGAIN)
    known = {*inputs, *constants}
    _ensure_made_once(graph.node, known)
    order = _sorted(graph.node, known)
    for output in graph.output:
        if output.name not in known:
            raise InputError(f"nothing in the model makes its output {output.name!r}", AGAIN)
    if order == list(range(len(graph.node))):
        return ()
    nodes = [onnx.NodeProto.FromString(graph.node[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(nodes)
    return ("the file's operators were out of order; they have been sorted",)


def _ensure_made_once(nodes: Sequence[onnx.NodeProto], known: set[str]) -> None:
    made = set(known)
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in made:
                raise InputError(f"{where(index, node)} writes {name!r}, which is there already", AGAIN)
            made.add(name)


def _sorted(nodes: Sequence[onnx.NodeProto], known: set[str]) -> list[int]:
    """Positions in an order that works, as near to the file's as can be (Kahn); `known` grows by what they make."""
    waiting: dict[str, list[int]] = {}
    missing: dict[int, int] = {}
    makers = {name for node in nodes for name in node.output if name}
    for index, node in enumerate(nodes):
        needed = {name for name in _read_by(node) if name and name not in known}
        for name in sorted(needed):
            if name not in makers:
                message = f"{where(index, node)} reads {name!r}, which nothing in the model makes (weights left out?)"
                raise InputError(message, "export the model again, with its weights")
            waiting.setdefault(name, []).append(index)
        missing[index] = len(needed)
    ready = [index for index in range(len(nodes)) if not missing[index]]
    order: list[int] = []
    heapq.heapify(ready)
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for name in filter(None, nodes[index].output):
            known.add(name)
            for reader in waiting.get(name, ()):
                missing[reader] -= 1
                if not missing[reader]:
                    heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        index = min(set(range(len(nodes))) - set(order))
        name = next(name for name in _read_by(nodes[index]) if name and name not in known)
        raise InputError(
            f"{where(index, nodes[index])} reads {name!r}, which needs {nodes[index].op_type} first: a cycle", AGAIN
        )
    return order


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and what graphs inside it read of the graph around it."""
    yield from node.input
    for item in node.attribute:
        for graph in (item.g, *item.graphs):
            own = {*tensors_of(graph)}
            read = (*(name for inner in graph.node for name in _read_by(inner)), *(value.name for value in graph.output))
            yield from (name for name in read if name not in own)


def tensors_of(graph: onnx.GraphProto) -> Iterator[str]:
    """The names that a graph gives: its inputs, its constants, and what its nodes make."""
    yield from (value.name for value in (*graph.input, *graph.initializer))
    yield from (name for node in graph.node for name in node.output if name)


def where(index: int, node: onnx.NodeProto) -> str:
    """A node in words."""
    return f"op {node.op_type} at {node.name or f'node {index}'!r}"
