"""Structured pruning in one call: measure, decide, cut, mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.cost import graph_cost
from edgekit.converters.graph import Graph
from edgekit.converters.prune.allocate import allocate
from edgekit.converters.prune.channels import Ints
from edgekit.converters.prune.coupling import Coupling, couple, kept_positions
from edgekit.converters.prune.cut import remove
from edgekit.converters.prune.eliminate import readers_of
from edgekit.converters.prune.families import Work, families, work
from edgekit.converters.prune.importance import Executor, Feed, Moments, given_scores, moments, read_tensors, scores
from edgekit.converters.prune.layers import LAYERS, made_axis
from edgekit.converters.prune.means import with_means_in_biases
from edgekit.converters.prune.rebuild import rebuild
from edgekit.converters.prune.sensitivity import Ladder, ladder, measured_ladders, with_elimination
from edgekit.core.errors import InputError, UsageError
from edgekit.core.progress import Event, Progress, silent

Importance = Literal["weights", "activations", "taylor"]
IMPORTANCES = ("weights", "activations", "taylor")
Gradients = Callable[[Mapping[str, int]], Mapping[str, NDArray[np.float64]]]
PROBES = 4
"""Samples on which each family alone is tried."""
MENDED_ON = 64
"""Samples that layers are rebuilt on."""


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """One family of channels: the layer that makes it, how many channels it had and has."""

    layer: str
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class PruneReport:
    """What went: multiply-accumulates and parameters before and after, family by family, and what was kept whole and why."""

    macs_before: int
    macs_after: int
    params_before: int
    params_after: int
    shrunk: tuple[Shrunk, ...]
    kept_whole: Mapping[str, int]
    """Reason -> how many sets of channels were kept for it."""
    multiple: int
    """What numbers of channels are multiples of."""

    @property
    def share(self) -> float:
        """The share of multiply-accumulates that went."""
        return 1.0 - self.macs_after / self.macs_before if self.macs_before else 0.0

    def sentence(self) -> str:
        """`30.2 % of 4,848,512 multiply-accumulates and 28.1 % of 70,378 parameters removed from 5 layers`."""
        params = 1.0 - self.params_after / max(self.params_before, 1)
        return (
            f"{100 * self.share:.1f} % of {self.macs_before:,} multiply-accumulates and {100 * params:.1f} % of "
            f"{self.params_before:,} parameters removed from {len(self.shrunk)} layers"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Pruned:
    """A smaller graph with the same inputs and outputs, and the report of how it came about."""

    graph: Graph
    report: PruneReport
    kept: Mapping[str, Ints]
    """For each tensor that a layer makes: which channels of the original it still has."""


def prune(
    graph: Graph,
    *,
    share: float,
    samples: Iterable[Feed] | None = None,
    execute: Executor | None = None,
    multiple: int = 8,
    importance: Importance = "activations",
    gradients: Gradients | None = None,
    progress: Progress = silent,
) -> Pruned:
    """`graph` with at least `share` (0 to 1) of its MACs removed, whole channels at a time, counts kept in multiples of `multiple`.

    With `samples` (input name -> array, gone through several times) and `execute` (a serialized ONNX model -> a function from feed
    to outputs) channels are judged by what the outputs lose, and layers are rebuilt by least squares; without, by their weights
    alone. `importance` "weights" judges by weights even so, "taylor" by `gradients`, which tells what each channel of the tensors
    asked for (name -> channel axis) is worth. Raises `UsageError` for a share outside 0 to 1, `InputError` saying how much can go
    when that is less than asked.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share to prune is {share:.0%}, it must lie between 0 and 100 %", "--prune 30%")
    if multiple < 1:
        raise UsageError(f"channels in multiples of {multiple} make no sense", "8 suits every target")
    if importance not in IMPORTANCES or (importance == "taylor") != (gradients is not None):
        raise UsageError(f"importance {importance!r} does not go with what was given", " | ".join(IMPORTANCES))
    data = None if samples is None or execute is None else _Data(samples=_repeatable(samples), execute=execute)
    coupling = couple(graph)
    measured = _measured(graph, coupling, data, progress)
    worth = _worth(graph, coupling, {} if importance == "weights" else measured, gradients)
    ladders = _ladders(graph, coupling, worth, measured, data, multiple, importance == "activations", progress)
    found = tuple(one.family for one in ladders)
    kept = _kept(work(graph, coupling, found), ladders, share)
    removed = np.concatenate([np.zeros(0, np.int64), *(one.removed(int(k)) for one, k in zip(ladders, kept, strict=True))])
    smaller = remove(with_means_in_biases(graph, coupling, removed, measured), coupling, removed)
    left = _left(graph, coupling, removed)
    if data is not None:
        smaller = rebuild(smaller, graph, left, _first(data.samples, MENDED_ON), data.execute, progress)
    progress(Event(stage="prune", done=1, total=1))
    return Pruned(graph=smaller, report=_report(graph, smaller, coupling, ladders, kept, multiple), kept=left)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Data:
    samples: Iterable[Feed]
    execute: Executor


def _repeatable(samples: Iterable[Feed]) -> Iterable[Feed]:
    """Samples that can be gone through again: an iterator is used up by the first pass."""
    if iter(samples) is samples:
        raise InputError("pruning goes through its samples several times, these can be read once", "pass a list or a folder")
    return samples


def _first(samples: Iterable[Feed], count: int) -> list[Feed]:
    return list(islice(samples, count))


def _measured(graph: Graph, coupling: Coupling, data: _Data | None, progress: Progress) -> Mapping[str, Moments]:
    return {} if data is None else moments(graph, read_tensors(graph, coupling), data.samples, data.execute, progress)


def _worth(
    graph: Graph, coupling: Coupling, measured: Mapping[str, Moments], gradients: Gradients | None
) -> NDArray[np.float64]:
    """[labels]: what each set of channels is worth."""
    if gradients is None:
        return scores(graph, coupling, measured)
    return given_scores(graph, coupling, gradients(read_tensors(graph, coupling)))


def _ladders(
    graph: Graph,
    coupling: Coupling,
    worth: NDArray[np.float64],
    measured: Mapping[str, Moments],
    data: _Data | None,
    multiple: int,
    eliminates: bool,
    progress: Progress,
) -> tuple[Ladder, ...]:
    plain = tuple(ladder(family, worth, multiple) for family in families(coupling))
    if data is None:
        return plain
    if eliminates:
        plain = tuple(with_elimination(one, worth, readers_of(one.family, graph, coupling, measured)) for one in plain)
    return measured_ladders(graph, coupling, plain, _first(data.samples, PROBES), data.execute, measured, progress)


def _kept(cost: Work, ladders: tuple[Ladder, ...], share: float) -> NDArray[np.int64]:
    """How many sets of each family stay: no family gives up most of itself, unless the share cannot be reached otherwise."""
    try:
        return allocate(cost, [one.shallow() for one in ladders], share)
    except InputError:
        return allocate(cost, ladders, share)


def _left(graph: Graph, coupling: Coupling, removed: Ints) -> Mapping[str, NDArray[np.int64]]:
    """For every tensor that a layer makes: the channels that are left of it."""
    layers = (node for node in graph.nodes if node.op in LAYERS)
    axes = {node.output: coupling.axes[node.output][made_axis(node, len(graph.shape(node.output)))] for node in layers}
    return {name: kept_positions(coupling, removed, labels) for name, labels in axes.items() if labels is not None}


def _report(
    graph: Graph, smaller: Graph, coupling: Coupling, ladders: tuple[Ladder, ...], kept: NDArray[np.int64], multiple: int
) -> PruneReport:
    before, after = graph_cost(graph), graph_cost(smaller)
    reasons: dict[str, int] = {}
    for reason in coupling.frozen.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    return PruneReport(
        macs_before=before.macs,
        macs_after=after.macs,
        params_before=before.params,
        params_after=after.params,
        shrunk=tuple(
            Shrunk(layer=one.family.name, before=len(one.order) * one.family.width, after=int(k) * one.family.width)
            for one, k in zip(ladders, kept, strict=True)
            if k < len(one.order)
        ),
        kept_whole=reasons,
        multiple=multiple,
    )
