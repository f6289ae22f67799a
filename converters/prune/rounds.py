"""Prune in rounds: measure, decide, cut a little, mend, and measure what is left anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.cost import graph_cost
from edgekit.converters.graph import Graph, Node
from edgekit.converters.prune.allocate import allocate
from edgekit.converters.prune.channels import Ints
from edgekit.converters.prune.compensate import compensated
from edgekit.converters.prune.coupling import Coupling, couple, kept_positions
from edgekit.converters.prune.cut import remove
from edgekit.converters.prune.eliminate import readers_of
from edgekit.converters.prune.ends import Executor, Feed
from edgekit.converters.prune.families import Work, families, work
from edgekit.converters.prune.importance import Moments, given_scores, moments, read_tensors, scores
from edgekit.converters.prune.layers import LAYERS, Floats, made_axis
from edgekit.converters.prune.places import places_that_matter
from edgekit.converters.prune.rebuild import rebuild
from edgekit.converters.prune.sensitivity import DEEPEST, Ladder, ladder, sensitivities, with_elimination
from edgekit.core.errors import InputError
from edgekit.core.progress import Progress, silent

Importance = Literal["weights", "activations", "taylor"]
Gradients = Callable[[Mapping[str, int]], Mapping[str, Floats]]
ROUND = 0.07
"""Share of the MACs that goes at a time."""
PROBES = 8
"""Samples on which each family alone is tried."""
MENDED_ON = 128
"""Samples that layers are rebuilt on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Samples that can be gone through again, how many they are, and how graphs are run on them."""

    samples: Iterable[Feed]
    execute: Executor
    count: int

    def spread(self, most: int) -> Iterator[Feed]:
        """At most so many of the samples, evenly."""
        wanted = set(np.linspace(0, self.count - 1, min(most, self.count)).astype(int).tolist())
        return (sample for index, sample in enumerate(self.samples) if index in wanted)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """How much is to go, in which steps, and what tells what a channel is worth."""

    share: float
    multiple: int
    importance: Importance
    gradients: Gradients | None
    data: Data | None
    progress: Progress = silent

    def goals(self) -> list[float]:
        """The shares that are to be gone after each round: where data say anew what is left is worth, several small cuts do less harm."""
        rounds = math.ceil(self.share / ROUND) if self.data is not None and self.importance == "activations" else 1
        return [self.share * (index + 1) / rounds for index in range(rounds)]


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What is left: a graph, for each tensor that a layer makes the channels of the original it still has, and what families are felt."""

    graph: Graph
    kept: Mapping[str, Ints]
    felt: Mapping[str, float] = field(default_factory=dict)


def begun(graph: Graph) -> State:
    """Everything kept."""
    layers = [node for node in graph.nodes if node.op in LAYERS]
    return State(graph=graph, kept={node.output: np.arange(channels_of(graph, node), dtype=np.int64) for node in layers})


def channels_of(graph: Graph, node: Node) -> int:
    """How many channels a layer makes."""
    shape = graph.shape(node.output)
    return shape[made_axis(node, len(shape))]


def ensure_reachable(graph: Graph, asked: Asked) -> None:
    """Raise `InputError` saying how much can go, before anything is measured."""
    coupling = couple(graph)
    ladders = [ladder(one, np.zeros(len(coupling.roots)), asked.multiple) for one in families(coupling)]
    allocate(work(graph, coupling, tuple(one.family for one in ladders)), ladders, asked.share)


def next_round(original: Graph, now: State, goal: float, asked: Asked) -> State:
    """One cut, so that `goal` of the original's MACs are gone, and what is left of every layer mended."""
    graph, coupling, data = now.graph, couple(now.graph), asked.data
    share = 1 - (1 - goal) * graph_cost(original).macs / max(graph_cost(graph).macs, 1)
    if share <= 0:
        return now
    measured = {} if data is None else _measured(graph, coupling, data, asked.progress)
    plain = _ladders(graph, coupling, measured, asked)
    felt = now.felt or ({} if data is None else _felt(graph, coupling, measured, plain, data, asked.progress))
    ladders = tuple(one.scaled(felt[one.family.name]) if one.family.name in felt else one for one in plain)
    kept = _kept(work(graph, coupling, tuple(one.family for one in ladders)), ladders, share, _floors(original, now, ladders))
    gone = np.concatenate([np.zeros(0, np.int64), *(one.removed(int(k)) for one, k in zip(ladders, kept, strict=True))])
    smaller, left = remove(compensated(graph, coupling, gone, measured), coupling, gone), _left(now, coupling, gone)
    if data is not None:
        smaller = rebuild(smaller, original, left, data.spread(MENDED_ON), data.execute, MENDED_ON, asked.progress)
    return State(graph=smaller, kept=left, felt=felt)


def _measured(graph: Graph, coupling: Coupling, data: Data, progress: Progress) -> Mapping[str, Moments]:
    places = places_that_matter(graph, data.samples, data.execute)
    return moments(graph, read_tensors(graph, coupling), data.samples, data.execute, places, progress)


def _ladders(graph: Graph, coupling: Coupling, measured: Mapping[str, Moments], asked: Asked) -> tuple[Ladder, ...]:
    """Every family in the order in which its channels go."""
    worth = _worth(graph, coupling, {} if asked.importance == "weights" else measured, asked.gradients)
    plain = tuple(ladder(family, worth, asked.multiple) for family in families(coupling))
    if asked.data is None or asked.importance != "activations":
        return plain
    return tuple(with_elimination(one, worth, readers_of(one.family, graph, coupling, measured)) for one in plain)


def _worth(
    graph: Graph, coupling: Coupling, measured: Mapping[str, Moments], gradients: Gradients | None
) -> NDArray[np.float64]:
    """[labels]: what each set of channels is worth."""
    if gradients is None:
        return scores(graph, coupling, measured)
    return given_scores(graph, coupling, gradients(read_tensors(graph, coupling)))


def _felt(
    graph: Graph,
    coupling: Coupling,
    measured: Mapping[str, Moments],
    plain: tuple[Ladder, ...],
    data: Data,
    progress: Progress,
) -> Mapping[str, float]:
    return sensitivities(graph, coupling, plain, tuple(data.spread(PROBES)), data.execute, measured, progress)


def _floors(original: Graph, now: State, ladders: tuple[Ladder, ...]) -> list[int]:
    """For each family how many sets make up `DEEPEST` of what its layer had in the original."""
    makers = {node.name: node for node in original.nodes}
    return [
        math.ceil(DEEPEST * len(one.order) * channels_of(original, maker) / len(now.kept[maker.output]))
        for one, maker in ((one, makers[one.family.name]) for one in ladders)
    ]


def _kept(cost: Work, ladders: tuple[Ladder, ...], share: float, floors: list[int]) -> NDArray[np.int64]:
    """How many sets of each family stay: no family gives up most of itself, unless the share cannot be reached otherwise."""
    try:
        return allocate(cost, [one.down_to(floor) for one, floor in zip(ladders, floors, strict=True)], share)
    except InputError:
        return allocate(cost, ladders, share)


def _left(now: State, coupling: Coupling, removed: Ints) -> Mapping[str, Ints]:
    """For every tensor that a layer makes: the channels of the original that are left of it."""
    layers = {node.output: node for node in now.graph.nodes if node.op in LAYERS}
    axes = {name: coupling.axes[name][made_axis(node, len(now.graph.shape(name)))] for name, node in layers.items()}
    return {
        name: now.kept[name] if labels is None else now.kept[name][kept_positions(coupling, removed, labels)]
        for name, labels in axes.items()
    }
