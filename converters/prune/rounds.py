"""Prune in rounds: measure, decide, cut a little, mend, and measure what is left anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.cost import graph_cost
from edgekit.converters.ends import LAYERS, made_axis
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Floats, Graph
from edgekit.converters.prune.allocate import allocate
from edgekit.converters.prune.coupling.channels import Ints
from edgekit.converters.prune.coupling.families import Work, families, work
from edgekit.converters.prune.coupling.walk import Coupling, couple, kept_positions
from edgekit.converters.prune.cut import remove
from edgekit.converters.prune.layers import channels_of
from edgekit.converters.prune.measure.eliminate import readers_of
from edgekit.converters.prune.measure.importance import Moments, given_scores, moments, read_tensors, scores
from edgekit.converters.prune.measure.sensitivity import DEEPEST, Ladder, ladder, sensitivities, with_elimination
from edgekit.converters.prune.mend.compensate import compensated
from edgekit.converters.prune.mend.original import Original, original, samples_that_fit
from edgekit.converters.prune.mend.rebuild import rebuild
from edgekit.core.errors import InputError
from edgekit.core.progress import Event, Progress, silent

Importance = Literal["weights", "activations", "taylor"]
Gradients = Callable[[Mapping[str, int]], Mapping[str, Floats]]
ROUND, ROUNDS = 0.05, 4
"""Share of the MACs that goes at a time, unless that makes more rounds: in many small ones coarse steps add up to more than was asked."""
PROBES = 8
"""Samples on which each family alone is tried."""


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
        gradual = self.data is not None and self.importance == "activations"
        rounds = min(ROUNDS, math.ceil(self.share / ROUND)) if gradual else 1
        return [self.share * (index + 1) / rounds for index in range(rounds)]


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What is left: a graph, and for each tensor that a layer makes the channels of the original it still has."""

    graph: Graph
    kept: Mapping[str, Ints]
    felt: Mapping[str, float] = field(default_factory=dict)
    """By family how much the ends feel of what is lost in it."""
    before: Original | None = None
    """What the original made of the samples, where there are any."""


def begun(graph: Graph, asked: Asked) -> State:
    """Everything kept, and the original asked about the samples."""
    layers = [node for node in graph.nodes if node.op in LAYERS]
    kept = {node.output: np.arange(channels_of(graph, node), dtype=np.int64) for node in layers}
    data = asked.data
    if data is None:
        return State(graph=graph, kept=kept)
    count = samples_that_fit(graph, data.count)
    told = original(
        graph,
        data.spread(count),
        data.execute,
        lambda done: asked.progress(Event(stage="ask the original", done=done, total=count)),
    )
    return State(graph=graph, kept=kept, before=told)


def ensure_reachable(graph: Graph, asked: Asked) -> None:
    """Raise `InputError` saying how much can go, before anything is measured."""
    coupling = couple(graph)
    ladders = [ladder(one, np.zeros(len(coupling.roots)), asked.multiple) for one in families(coupling)]
    allocate(work(graph, coupling, tuple(one.family for one in ladders)), ladders, asked.share)


def next_round(whole: Graph, now: State, goal: float, asked: Asked) -> State:
    """One cut, so that `goal` of the original's MACs are gone, and what is left of every layer mended."""
    graph, coupling, before = now.graph, couple(now.graph), now.before
    share = 1 - (1 - goal) * graph_cost(whole).macs / max(graph_cost(graph).macs, 1)
    if share <= 0:
        return now
    measured = {} if before is None else _measured(graph, coupling, before, asked.progress)
    plain = _ladders(graph, coupling, measured, asked)
    felt = now.felt or ({} if before is None else _felt(graph, coupling, measured, plain, before, asked.progress))
    ladders = tuple(one.scaled(felt[one.family.name]) if one.family.name in felt else one for one in plain)
    kept = _kept(work(graph, coupling, tuple(one.family for one in ladders)), ladders, share, _floors(whole, now, ladders))
    gone = np.concatenate([np.zeros(0, np.int64), *(one.removed(int(k)) for one, k in zip(ladders, kept, strict=True))])
    smaller, left = remove(compensated(graph, coupling, gone, measured), coupling, gone), _left(now, coupling, gone)
    mended = smaller if before is None else rebuild(smaller, before, left, asked.progress)
    return replace(now, graph=mended, kept=left, felt=felt)


def _measured(graph: Graph, coupling: Coupling, before: Original, progress: Progress) -> Mapping[str, Moments]:
    return moments(graph, read_tensors(graph, coupling), before.samples, before.execute, before.places, progress)


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
    before: Original,
    progress: Progress,
) -> Mapping[str, float]:
    probes = before.samples[:: -(-len(before.samples) // PROBES)]
    return sensitivities(graph, coupling, plain, probes, before.execute, measured, progress)


def _floors(whole: Graph, now: State, ladders: tuple[Ladder, ...]) -> list[int]:
    """For each family how many sets make up `DEEPEST` of what its layer had in the original."""
    makers = {node.name: node for node in whole.nodes}
    return [
        math.ceil(DEEPEST * len(one.order) * channels_of(whole, maker) / len(now.kept[maker.output]))
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
