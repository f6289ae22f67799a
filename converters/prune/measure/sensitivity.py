"""How much the outputs suffer when a family of channels shrinks: measured, one family at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.converters.ends import end_tensors
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Floats, Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.places import Places, places_that_matter
from edgekit.converters.prune.coupling.channels import Ints
from edgekit.converters.prune.coupling.families import Family
from edgekit.converters.prune.coupling.walk import Coupling
from edgekit.converters.prune.cut import silenced
from edgekit.converters.prune.layers import without
from edgekit.converters.prune.measure.answers import Answer, channel_rows, noise, up_to
from edgekit.converters.prune.measure.eliminate import Reader, elimination
from edgekit.converters.prune.measure.importance import Moments
from edgekit.converters.prune.mend.compensate import compensated
from edgekit.core.progress import Event, Progress, silent

PROBED = 0.75
"""Share of a family that is kept when it is tried: enough goes to be seen, too little to drown the outputs."""

DEEPEST = 0.5
"""Share of what a layer made in the original that is kept at the least, as long as the share of work to remove can be reached so."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ladder:
    """A family with its sets in order of worth, the numbers of them that may be kept, and the noise at each of those."""

    family: Family
    order: Ints
    """[units]: the least worthy first."""
    lost: Floats
    """[units + 1]: the worth that is gone with the first so many, when what stays cannot make up for it."""
    mended: Floats
    """[units + 1]: the same when it does; equal to `lost` where nothing was measured."""
    choices: tuple[int, ...]
    noise: Floats

    def removed(self, kept: int) -> Ints:
        """The sets that go when `kept` stay."""
        return self.order[: len(self.order) - kept]

    def scaled(self, factor: float) -> Ladder:
        """The ladder with noise where it had worth lost."""
        return replace(self, noise=factor * _at(self.mended, self.choices))

    def down_to(self, floor: int) -> Ladder:
        """The ladder down to so many sets: what is lost there is foretold from a smaller step, and further down is more than that."""
        choices = tuple(kept for kept in self.choices if kept >= min(floor, len(self.order)))
        return replace(self, choices=choices, noise=self.noise[: len(choices)])


def ladder(family: Family, worth: Floats, multiple: int) -> Ladder:
    """A family by worth alone: the noise is the share of its readers' work that is lost."""
    order = family.units[np.argsort(worth[family.units], kind="stable")]
    lost = np.concatenate([[0.0], np.cumsum(worth[order])])
    choices = family.choices(multiple)
    return Ladder(family=family, order=order, lost=lost, mended=lost, choices=choices, noise=_at(lost, choices))


def with_elimination(one: Ladder, worth: Floats, readers: Sequence[Reader]) -> Ladder:
    """The ladder in the order in which least is lost when what stays makes up for what goes."""
    if not readers:
        return one
    order, mended = elimination(one.family, readers)
    return replace(
        one, order=order, lost=np.concatenate([[0.0], np.cumsum(worth[order])]), mended=mended, noise=_at(mended, one.choices)
    )


def _at(lost: Floats, choices: Sequence[int]) -> Floats:
    return np.array([lost[len(lost) - 1 - kept] for kept in choices])


def sensitivities(
    graph: Graph,
    coupling: Coupling,
    ladders: Sequence[Ladder],
    probes: Sequence[Feed],
    execute: Executor,
    measured: Mapping[str, Moments],
    progress: Progress = silent,
) -> Mapping[str, float]:
    """By family the noise at the graph's end tensors, over `probes`, per worth lost: seen when a fourth of it alone is removed."""
    ends = end_tensors(graph)
    plain = execute(to_bytes(up_to(graph, ends)))
    places = places_that_matter(graph, probes, execute)
    wanted = [_answers(graph, ends, places, index, plain(probe)) for index, probe in enumerate(probes)]

    def noise_without(removed: Ints) -> float:
        whole = compensated(graph, coupling, removed, measured)
        return noise(execute(to_bytes(up_to(silenced(whole, coupling, removed), ends))), ends, probes, wanted)

    found: dict[str, float] = {}
    for index, one in enumerate(ladders):
        progress(Event(stage="probe layers", done=index, total=len(ladders)))
        if len(one.choices) > 1:
            found[one.family.name] = _sensitivity(one, noise_without)
    return found


def _answers(graph: Graph, ends: Mapping[str, int], places: Places, sample: int, outputs: Feed) -> Mapping[str, Answer]:
    return {
        name: Answer(values=channel_rows(outputs[name], axis), weights=places.weights(sample, without(graph.shape(name), axis)))
        for name, axis in ends.items()
    }


def _sensitivity(one: Ladder, noise_without: Callable[[Ints], float]) -> float:
    """Noise is in proportion to the worth that is lost: further measurements would only see the outputs saturate."""
    kept = next((kept for kept in one.choices[1:] if kept <= PROBED * len(one.order)), one.choices[-1])
    return noise_without(one.removed(kept)) / max(float(one.mended[len(one.order) - kept]), float(np.finfo(np.float64).tiny))
