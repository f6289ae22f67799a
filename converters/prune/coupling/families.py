"""The choices that pruning has: families of interchangeable sets of channels, and what keeping so many of each costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.cost import node_macs
from edgekit.converters.graph import Graph, Node
from edgekit.converters.prune.coupling.channels import Ints
from edgekit.converters.prune.coupling.walk import Coupling


@dataclass(frozen=True, kw_only=True, eq=False)
class Family:
    """Sets of tied channels (by root) that occur in the same places, so that any of them may go instead of another.

    `name` is the node that makes them; `width` is how many channels of that node one set takes.
    """

    name: str
    units: Ints
    width: int

    def choices(self, multiple: int) -> tuple[int, ...]:
        """How many sets may be kept, most first, so that the channels left are a multiple of `multiple`."""
        step = multiple // math.gcd(multiple, self.width)
        count = len(self.units)
        return (count, *(kept for kept in range(count - 1, 0, -1) if kept % step == 0))


def families(coupling: Coupling) -> tuple[Family, ...]:
    """The families of a graph, in the order of its nodes. What is frozen, or alone in its place, is in none of them."""
    places: dict[int, list[tuple[int, int]]] = {}
    makers: dict[int, tuple[str, int]] = {}
    for place, labels in enumerate(_distinct(coupling)):
        for root, count in zip(*np.unique(coupling.roots[labels], return_counts=True), strict=True):
            places.setdefault(int(root), []).append((place, int(count)))
    for cut in coupling.cuts:
        if cut.role == "makes":
            for root, count in zip(*np.unique(coupling.roots[cut.labels], return_counts=True), strict=True):
                makers.setdefault(int(root), (cut.node, int(count)))
    alike: dict[tuple[object, ...], list[int]] = {}
    for root, found in places.items():
        if root not in coupling.frozen and root in makers:
            alike.setdefault((makers[root], *found), []).append(root)
    return tuple(
        Family(name=makers[roots[0]][0], units=np.array(sorted(roots), dtype=np.int64), width=makers[roots[0]][1])
        for roots in alike.values()
        if len(roots) > 1
    )


def _distinct(coupling: Coupling) -> Iterator[Ints]:
    """Every labelling of an axis, equal ones once."""
    seen: set[bytes] = set()
    every = [labels for axes in coupling.axes.values() for labels in axes if labels is not None]
    for labels in (*every, *(cut.labels for cut in coupling.cuts)):
        key = coupling.roots[labels].tobytes()
        if key not in seen:
            seen.add(key)
            yield labels


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """Multiply-accumulates as a function of how many sets of each family are kept."""

    base: NDArray[np.float64]
    """[nodes]: the MACs of each node that has any, as the graph stands."""
    lengths: NDArray[np.float64]
    """[axes]: positions along each axis that scales a node's work."""
    shares: NDArray[np.float64]
    """[axes, families]: how many of those positions one set of the family takes."""
    nodes: Ints
    """[axes]: the node that each axis belongs to."""
    counts: NDArray[np.float64]
    """[families]: how many sets there are."""

    @cached_property
    def total(self) -> float:
        """MACs with everything kept."""
        return float(self.base.sum())

    def macs(self, kept: NDArray[np.int64]) -> float:
        """MACs with `kept` [families] sets left of each."""
        left = 1.0 - (self.shares @ (self.counts - kept)) / self.lengths
        factors = np.ones_like(self.base)
        np.multiply.at(factors, self.nodes, left)
        return float(self.base @ factors)


def work(graph: Graph, coupling: Coupling, found: tuple[Family, ...]) -> Work:
    """What the graph costs, by the families found in it."""
    owner: Mapping[int, int] = {int(root): index for index, family in enumerate(found) for root in family.units}
    reads: dict[str, list[Ints]] = {}
    for cut in coupling.cuts:
        if cut.role == "reads":
            reads.setdefault(cut.node, []).append(cut.labels)
    base: list[float] = []
    axes: list[Ints] = []
    nodes: list[int] = []
    for node in graph.nodes:
        macs = node_macs(graph, node)
        if macs:
            mine = _scaling(coupling, node, reads.get(node.name, []))
            axes += mine
            nodes += [len(base)] * len(mine)
            base.append(float(macs))
    shares = np.zeros((len(axes), len(found)))
    for row, labels in enumerate(axes):
        for root, count in zip(*np.unique(coupling.roots[labels], return_counts=True), strict=True):
            if int(root) in owner:
                shares[row, owner[int(root)]] = max(shares[row, owner[int(root)]], count)
    return Work(
        base=np.array(base),
        lengths=np.array([len(labels) for labels in axes], dtype=np.float64),
        shares=shares,
        nodes=np.array(nodes, dtype=np.int64),
        counts=np.array([len(family.units) for family in found], dtype=np.float64),
    )


def _scaling(coupling: Coupling, node: Node, reads: list[Ints]) -> list[Ints]:
    """The labelled axes that a node's work is proportional to: those of its output and those it sums over."""
    made = [labels for labels in coupling.axes.get(node.output, ()) if labels is not None]
    if node.op == "MatMul" and not reads:
        source = coupling.axes.get(node.inputs[0], ())
        return [*made, *([source[-1]] if source and source[-1] is not None else [])]
    return [*made, *reads]
