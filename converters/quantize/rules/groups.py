"""Tensors that must share one scale, because an operator passes integers from one to the other unchanged."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.floats.tail import UNLIKE
from edgekit.converters.quantize.parameters import QuantParams
from edgekit.converters.quantize.ranges.choose import Range, same
from edgekit.converters.quantize.rules.roles import JOINS, MOVES, POOLS, data_inputs, is_float


def same_scale_groups(
    graph: Graph, ranges: Mapping[str, Range], fixed: Mapping[str, QuantParams], *, without: frozenset[str]
) -> tuple[tuple[str, ...], ...]:
    """Every float tensor that has a range, in groups that share parameters (many of one member), in graph order.

    Moves and pools always join their outputs to their input. A Concat (Max, Min, Where) joins an input only when that costs little:
    when its group's span is within a factor of `UNLIKE` of the output's and neither has other `fixed` parameters; an input left
    out keeps its own parameters, and the lowering requantizes it. Nodes named in `without` join nothing.
    """
    forest = _Forest(ranges, fixed)
    for node in graph.nodes:
        if node.name in without:
            continue
        if node.op in MOVES | POOLS:
            _join_move(graph, node, forest)
        elif node.op in JOINS:
            _join_like(graph, node, forest)
    return forest.groups()


def _join_move(graph: Graph, node: Node, forest: _Forest) -> None:
    for output in node.outputs:
        if output and is_float(graph, output) and forest.knows(output) and forest.knows(node.inputs[0]):
            forest.unite(output, node.inputs[0])


def _join_like(graph: Graph, node: Node, forest: _Forest) -> None:
    names = [name for name in data_inputs(graph, node) if forest.knows(name)]
    if not forest.knows(node.output):
        return
    if names and all(forest.alike_fixed(names[0], name) for name in names):
        for name in names:
            forest.unite(node.output, name)
        return
    for name in names:
        if forest.pinned(name) is None and forest.near(node.output, name):
            forest.unite(node.output, name)


class _Forest:
    """A union-find over tensor names; each root knows its members' common range and, when there is one, its fixed parameters."""

    def __init__(self, ranges: Mapping[str, Range], fixed: Mapping[str, QuantParams]) -> None:
        self._parent = {name: name for name in ranges}
        self._range = dict(ranges)
        self._fixed = dict(fixed)

    def knows(self, name: str) -> bool:
        return name in self._parent

    def root(self, name: str) -> str:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def pinned(self, name: str) -> QuantParams | None:
        return self._fixed.get(self.root(name))

    def alike_fixed(self, first: str, second: str) -> bool:
        one, other = self.pinned(first), self.pinned(second)
        return one is not None and other is not None and same(one, other)

    def near(self, first: str, second: str) -> bool:
        spans = sorted((self._range[self.root(first)].span, self._range[self.root(second)].span))
        return spans[1] <= UNLIKE * spans[0]

    def unite(self, first: str, second: str) -> None:
        """Make two groups one; the second's fixed parameters win."""
        one, other = self.root(first), self.root(second)
        if one == other:
            return
        a, b = self._range[one], self._range[other]
        self._parent[one] = other
        self._range[other] = Range(low=min(a.low, b.low), high=max(a.high, b.high))
        if other not in self._fixed and one in self._fixed:
            self._fixed[other] = self._fixed[one]

    def groups(self) -> tuple[tuple[str, ...], ...]:
        members: dict[str, list[str]] = {}
        for name in self._parent:
            members.setdefault(self.root(name), []).append(name)
        return tuple(tuple(names) for names in members.values())
