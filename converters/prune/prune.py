"""Structured pruning in one call: measure, decide, cut, mend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass

import numpy as np

from edgekit.converters.cost import graph_cost
from edgekit.converters.ends import made_axis
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Graph
from edgekit.converters.prune.coupling.channels import Ints
from edgekit.converters.prune.coupling.families import families
from edgekit.converters.prune.coupling.walk import Coupling, couple
from edgekit.converters.prune.rounds import Asked, Data, Gradients, Importance, State, begun, ensure_reachable, next_round
from edgekit.core.errors import InputError, UsageError
from edgekit.core.progress import Event, Progress, silent

IMPORTANCES = ("weights", "activations", "taylor")


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
    data = None if samples is None or execute is None else _data(samples, execute)
    asked = _checked(
        Asked(share=share, multiple=multiple, importance=importance, gradients=gradients, data=data, progress=progress)
    )
    ensure_reachable(graph, asked)
    now = begun(graph, asked)
    for goal in asked.goals():
        now = next_round(graph, now, goal, asked)
    progress(Event(stage="prune", done=1, total=1))
    return Pruned(graph=now.graph, report=_report(graph, now, multiple), kept=now.kept)


def _data(samples: Iterable[Feed], execute: Executor) -> Data | None:
    """Samples that can be gone through again: an iterator is used up by the first pass."""
    if iter(samples) is samples:
        raise InputError("pruning goes through its samples several times, these can be read once", "pass a list or a folder")
    count = len(samples) if isinstance(samples, Sized) else sum(1 for _ in samples)
    return Data(samples=samples, execute=execute, count=count) if count else None


def _checked(asked: Asked) -> Asked:
    if not 0 < asked.share < 1:
        raise UsageError(f"the share to prune is {asked.share:.0%}, it must lie between 0 and 100 %", "--prune 30%")
    if asked.multiple < 1:
        raise UsageError(f"channels in multiples of {asked.multiple} make no sense", "8 suits every target")
    if asked.importance not in IMPORTANCES or (asked.importance == "taylor") != (asked.gradients is not None):
        raise UsageError(f"importance {asked.importance!r} does not go with what was given", " | ".join(IMPORTANCES))
    return asked


def _report(graph: Graph, now: State, multiple: int) -> PruneReport:
    before, after, coupling = graph_cost(graph), graph_cost(now.graph), couple(graph)
    return PruneReport(
        macs_before=before.macs,
        macs_after=after.macs,
        params_before=before.params,
        params_after=after.params,
        shrunk=tuple(one for one in _shrunk(graph, now, coupling) if one.after < one.before),
        kept_whole=Counter(coupling.frozen.values()),
        multiple=multiple,
    )


def _shrunk(graph: Graph, now: State, coupling: Coupling) -> Iterator[Shrunk]:
    """Every family, with how many channels of its layer are left."""
    makers = {node.name: node for node in graph.nodes}
    for family in families(coupling):
        maker = makers[family.name]
        labels = coupling.axes[maker.output][made_axis(maker, len(graph.shape(maker.output)))]
        mine = np.isin(coupling.roots[labels], family.units) if labels is not None else np.zeros(0, bool)
        left = np.intersect1d(np.flatnonzero(mine), now.kept[maker.output])
        yield Shrunk(layer=family.name, before=int(mine.sum()), after=len(left))
