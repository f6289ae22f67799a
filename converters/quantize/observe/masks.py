"""Values that are there to be ignored: minus infinity, or a very large negative number, in attention masks and pooling borders.

They would stretch a range until nothing else could be told apart. What reads them does not care how small they are, so a range that
ends above them, where integers saturate, is right.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.converters.graph import Array, Graph

NEGLIGIBLE = 20.0
"""exp(-20) is 2e-9: a Softmax gives nothing to what lies this far below its row's largest."""
STOPS = frozenset({"Softmax", "LogSoftmax", "MaxPool", "GlobalMaxPool", "ReduceMax", "Clip", "Sigmoid", "Tanh", "Relu", "Exp"})
"""Operators whose output is finite where an input is minus infinity."""


def infinite(graph: Graph) -> frozenset[str]:
    """Tensors that hold infinities by design: made from constants that do, before an operator that ends them."""
    found = {name for name, value in graph.constants.items() if value.dtype.kind == "f" and np.isinf(value).any()}
    if not found:
        return frozenset()
    for node in graph.nodes:
        if node.op not in STOPS and found & set(node.inputs):
            found |= set(node.outputs)
    return frozenset(found)


def softmax_axis(graph: Graph, name: str) -> int | None:
    """The axis of the Softmax that alone reads a tensor, or None."""
    reader = graph.sole_consumer(name)
    return reader.integer("axis", -1) if reader is not None and reader.op == "Softmax" else None


def without_masked(values: Array, axis: int | None, *, infinities: bool) -> Array:
    """The values that matter to what reads them.

    With the `axis` of a Softmax, none lies more than `NEGLIGIBLE` below the largest along it; with `infinities`, those are left out
    (one zero is left of an array that holds nothing else).
    """
    if axis is not None:
        values = np.maximum(values, values.max(axis=axis, keepdims=True) - NEGLIGIBLE)
    if not infinities or not np.isinf(values).any():
        return values
    finite = values[~np.isinf(values)]
    return finite if finite.size else np.zeros(1, values.dtype)


def bounded(graph: Graph, name: str, reach: Mapping[str, float]) -> Array:
    """A constant, or what is enough of it where it is a mask: added to something that a Softmax reads.

    `reach` is the largest absolute value of computed tensors. An integer sum of a billion and a score would lose the score.
    """
    value, readers = graph.constants[name], graph.consumers.get(name, ())
    if not readers or any(node.op != "Add" or softmax_axis(graph, node.output) is None for node in readers):
        return value
    others = [reach.get(other, 0.0) for node in readers for other in node.inputs if other != name]
    return np.maximum(value, -(NEGLIGIBLE + 2 * max(others, default=0.0))).astype(value.dtype)
