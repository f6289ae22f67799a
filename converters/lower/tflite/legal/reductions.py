"""Reductions that TFLite lacks, in those that it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from math import prod

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.attributes import given, reduced_axes
from edgekit.converters.lower.tflite.legal.rewrite import DIMS, Replacement, Rule, Scribe


class _Reduction:
    """One reduction being rewritten: where to write, and over which axes."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.scribe, self.axes = Scribe(graph, node), reduced_axes(graph, node)

    def apart(self, op: str, *names: str) -> str:
        """An operator on each element, in the first operand's shape."""
        return self.scribe.add(op, names, self.scribe.shape(names[0]), op.lower())

    def over(self, op: str, name: str) -> str:
        """A reduction over the axes, which stay with size one."""
        return self.scribe.reduced(op, name, self.axes, op.lower())


def _absolute(r: _Reduction, x: str) -> str:
    return r.over("ReduceSum", r.apart("Abs", x))


def _squares(r: _Reduction, x: str) -> str:
    return r.over("ReduceSum", r.apart("Mul", x, x))


def _length(r: _Reduction, x: str) -> str:
    return r.apart("Sqrt", _squares(r, x))


def _logarithm(r: _Reduction, x: str) -> str:
    return r.apart("Log", r.over("ReduceSum", x))


def _log_of_exponentials(r: _Reduction, x: str) -> str:
    """The largest is taken out before and put back after, so that nothing overflows."""
    peak = r.over("ReduceMax", x)
    return r.apart("Add", _logarithm(r, r.apart("Exp", r.apart("Sub", x, peak))), peak)


FORMULAS: dict[str, Callable[[_Reduction, str], str]] = {
    "ReduceL1": _absolute,
    "ReduceL2": _length,
    "ReduceSumSquare": _squares,
    "ReduceLogSum": _logarithm,
    "ReduceLogSumExp": _log_of_exponentials,
}


def reduction(graph: Graph, node: Node) -> Replacement | None:
    """A norm or a logarithm of a sum as sums, products and roots."""
    if node.op not in FORMULAS or (given(node, 1) and given(node, 1) not in graph.constants):
        return None
    r = _Reduction(graph, node)
    name = FORMULAS[node.op](r, node.inputs[0])
    return r.scribe.finish("Reshape", [name, r.scribe.constant("view", graph.shape(node.output), "int64")])


def reduction_of_nothing(graph: Graph, node: Node) -> Replacement | None:
    """Over no axes, or axes of size one, a mean, sum or extreme is what it reads."""
    if not _is_known(graph, node):
        return None
    if any(graph.shape(node.inputs[0])[axis] != 1 for axis in reduced_axes(graph, node)):
        return None
    scribe = Scribe(graph, node)
    return scribe.finish("Reshape", [node.inputs[0], scribe.constant("view", graph.shape(node.output), "int64")])


def reduction_in_few_dims(graph: Graph, node: Node) -> Replacement | None:
    """Of more dims than the engine knows, neighbours that go together are one."""
    shape = graph.shape(node.inputs[0]) if _is_known(graph, node) else ()
    if len(shape) <= DIMS:
        return None
    scribe, (joined, axes) = Scribe(graph, node), _joined(shape, reduced_axes(graph, node))
    made = scribe.reduced(node.op, scribe.view(node.inputs[0], joined, "joined"), axes, "over_joined")
    return scribe.finish("Reshape", [made, scribe.constant("view", graph.shape(node.output), "int64")])


def _is_known(graph: Graph, node: Node) -> bool:
    """A reduction that TFLite has, over axes that are constant."""
    known = node.op in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")
    return known and (not given(node, 1) or given(node, 1) in graph.constants)


def _joined(shape: Sequence[int], axes: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sizes of runs of dims that all go or all stay, and which of the runs go."""
    sized = [axis for axis, size in enumerate(shape) if size != 1]
    runs = [(goes, prod(shape[axis] for axis in run)) for goes, run in groupby(sized, lambda axis: axis in axes)]
    return tuple(size for _, size in runs), tuple(at for at, (goes, _) in enumerate(runs) if goes)


RULES: tuple[Rule, ...] = (reduction, reduction_of_nothing, reduction_in_few_dims)
