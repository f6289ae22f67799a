"""Remove nodes that pass their input through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.converters.graph import Graph, Node, PassResult


def drop_identities(graph: Graph) -> PassResult:
    """Remove Identity, Dropout (inference), and Cast, Reshape, Transpose, Pad, Slice, Concat, Add, Mul, Where ... that change nothing.

    Guarantees: graph outputs keep their names; every remaining tensor keeps its value. A node whose output is a graph
    output and whose input is a graph input or a constant stays, for something must write the output.
    """
    renamed: dict[str, str] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        current = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        passed = _passed(graph, current)
        if passed and node.output not in graph.output_names:
            renamed[node.output] = passed
        else:
            kept.append(current)
    changes = len(graph.nodes) - len(kept)
    return _absorb_output_identities(graph.with_nodes(kept) if changes else graph, changes)


def _absorb_output_identities(graph: Graph, changes: int) -> PassResult:
    """An Identity that only gives an inner tensor its output name: let the producer write the output name itself."""
    renamed: dict[str, str] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        source = _passed(graph, node) if node.output in graph.output_names else ""
        if source in graph.producers and source not in graph.output_names and source not in renamed:
            renamed[source] = node.output
            gone.add(node.name)
    if not gone:
        return PassResult(graph=graph, changes=changes)

    def new(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(renamed.get(name, name) for name in names)

    nodes = [replace(n, inputs=new(n.inputs), outputs=new(n.outputs)) for n in graph.nodes if n.name not in gone]
    return PassResult(graph=graph.with_nodes(nodes), changes=changes + len(gone))


def _passed(graph: Graph, node: Node) -> str:
    """The input that the node gives on as it is; empty where it does something."""
    if node.domain:
        return ""
    if node.op == "Identity":
        return node.inputs[0]
    if node.op == "Dropout":
        read = any(name in graph.consumers or name in graph.output_names for name in node.outputs[1:])
        return "" if read or _drops(graph, node) else node.inputs[0]
    passed = _CHOOSES[node.op](graph, node) if node.op in _CHOOSES else node.inputs[0] if node.op in _NEUTRAL else ""
    if passed not in graph.specs:
        return ""
    before, after = graph.specs[passed], graph.specs[node.output]
    unchanged = before.shape == after.shape and before.dtype == after.dtype
    return passed if unchanged and (node.op in _CHOOSES or _NEUTRAL[node.op](graph, node)) else ""


def _drops(graph: Graph, node: Node) -> bool:
    """Whether a Dropout was exported in training mode, or may be switched to it."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return False
    training = graph.constant(node.inputs[2])
    return training is None or bool(np.any(training))


def _is_ordered(graph: Graph, node: Node) -> bool:
    shape = graph.shape(node.inputs[0])
    permutation = node.integers("perm", tuple(reversed(range(len(shape)))))
    moved = [axis for axis in permutation if shape[axis] > 1]
    return moved == sorted(moved)


def _pads_nothing(graph: Graph, node: Node) -> bool:
    pads = graph.constant(node.inputs[1])
    return pads is not None and not np.any(pads)


def _keeps_everything(graph: Graph, node: Node) -> bool:
    """Same shape in and out is not enough for a slice: a negative step reverses."""
    steps = graph.constant(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] else np.ones(1)
    return steps is not None and bool(np.all(steps > 0))


def _beside_neutral(graph: Graph, node: Node) -> str:
    """What is added to a constant of zeros, or multiplied by one of ones."""
    neutral = 0 if node.op == "Add" else 1
    for name, other in (node.inputs, node.inputs[::-1]):
        value = graph.constant(other)
        if value is not None and np.all(value == neutral):
            return name
    return ""


def _always_taken(graph: Graph, node: Node) -> str:
    """What a Where takes everywhere, by a condition that is known."""
    condition = graph.constant(node.inputs[0])
    if condition is None or (np.any(condition) and not np.all(condition)):
        return ""
    return node.inputs[1] if np.all(condition) else node.inputs[2]


def _chooses_all(graph: Graph, node: Node) -> bool:
    """Whether a Gather of the same shape can only take everything in order: one slice, or indices that count up."""
    size = graph.shape(node.inputs[0])[node.integer("axis", 0)]
    indices = graph.constant(node.inputs[1])
    return size == 1 or (indices is not None and np.array_equal(indices.ravel(), np.arange(size)))


def _always(graph: Graph, node: Node) -> bool:
    return True


def _has_one_input(graph: Graph, node: Node) -> bool:
    return len(node.inputs) == 1


_NEUTRAL = {
    "Cast": _always,
    "CastLike": _always,
    "Reshape": _always,
    "Squeeze": _always,
    "Unsqueeze": _always,
    "Flatten": _always,
    "Expand": _always,
    "Concat": _has_one_input,
    "Gather": _chooses_all,
    "Transpose": _is_ordered,
    "Pad": _pads_nothing,
    "Slice": _keeps_everything,
}
"""Operators that can only give on their first input, and when they do so: its shape and type are those of the output."""
_CHOOSES = {"Add": _beside_neutral, "Mul": _beside_neutral, "Where": _always_taken}
"""Operators that can give on one input or another: which one, if any."""
