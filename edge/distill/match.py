"""What the pruned network should have in common with its source: its last layers whole, and inside what is left of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.ends import LAYERS, end_tensors, made_axis, scored_ends
from edgekit.converters.graph import Graph
from edgekit.converters.places import EVEN
from edgekit.core.errors import InputError
from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import Tensor

QUIET = 0.01
"""Channels that vary less than this share of the usual one count as if they varied so much."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """One tensor of both graphs: its channel axis, which of the source's channels the pruned one has, and what it counts."""

    name: str
    axis: int
    kept: NDArray[np.int64]
    weight: float


def matches(source: Graph, pruned: Graph, kept: Mapping[str, NDArray[np.int64]], features: float) -> tuple[Match, ...]:
    """The tensors to compare: the ends with weight 1 in all, layers inside with `features` in all.

    Without `kept` (a graph that was pruned elsewhere) only ends and outputs of the same name and shape are compared. Raises
    `InputError` when the two have none.
    """
    ends = [
        Match(name=name, axis=axis, kept=np.arange(source.shape(name)[axis]), weight=1.0)
        for name, axis in end_tensors(source).items()
        if name in pruned.specs and pruned.shape(name) == source.shape(name)
    ]
    ends = ends or _outputs(source, pruned)
    if not ends:
        raise InputError(
            f"{pruned.name!r} and {source.name!r} have no output of the same name and shape",
            "is this the source it was pruned from?",
        )
    inside = (
        [] if not features else [match for match in _inside(source, pruned, kept) if match.name not in {e.name for e in ends}]
    )
    return tuple(_weighed(ends, 1.0) + _weighed(inside, features))


def _outputs(source: Graph, pruned: Graph) -> list[Match]:
    same = [spec for spec in source.outputs if spec.shape and pruned.specs.get(spec.name, None) is not None]
    return [
        Match(name=spec.name, axis=len(spec.shape) - 1, kept=np.arange(spec.shape[-1]), weight=1.0)
        for spec in same
        if pruned.shape(spec.name) == spec.shape
    ]


def _inside(source: Graph, pruned: Graph, kept: Mapping[str, NDArray[np.int64]]) -> list[Match]:
    """Layers that make channels of their own, in both graphs, with the channels that are left."""
    layers = [node for node in pruned.nodes if node.op in LAYERS and node.output in kept and node.output in source.specs]
    plain = [node for node in layers if node.integer("group", 1) == 1]
    return [
        Match(name=node.output, axis=made_axis(node, len(source.shape(node.output))), kept=kept[node.output], weight=1.0)
        for node in plain
    ]


def _weighed(found: Sequence[Match], total: float) -> list[Match]:
    return [Match(name=one.name, axis=one.axis, kept=one.kept, weight=total / len(found)) for one in found]


@dataclass(frozen=True, kw_only=True, eq=False)
class Usual:
    """What is usual for a compared tensor in the source: per kept channel its mean and variance, and where those channels lie."""

    kept: Tensor
    mean: Tensor
    variance: Tensor


def spread(one: Match, values: Tensor) -> Usual:
    """What one batch of the source's values says of each kept channel."""
    kept = need("torch").from_numpy(one.kept).to(values.device)
    rows = _rows(values.index_select(one.axis, kept), one.axis)
    return Usual(kept=kept, mean=rows.mean(0), variance=rows.var(0, unbiased=False))


def usual(batches: Sequence[Usual]) -> Usual:
    """What several batches say together; no variance is near zero."""
    torch = need("torch")
    variance = torch.stack([one.variance for one in batches]).mean(0)
    mean = torch.stack([one.mean for one in batches]).mean(0)
    return Usual(kept=batches[0].kept, mean=mean, variance=variance.clamp_min(max(QUIET * float(variance.mean()), 1e-12)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """How much each place of a picture counts: half of it by what the source's `ends` say is there, against the `mean` of that."""

    ends: Sequence[str]
    mean: float

    def weights(self, wanted: Mapping[str, Tensor]) -> Tensor | None:
        """[pictures, 1, height, width], about 1 on the average; None when the source says nothing of places."""
        return EVEN + (1 - EVEN) * _sure(self.ends, wanted) / self.mean if self.ends else None


def sight(source: Graph, batches: Sequence[Mapping[str, Tensor]]) -> Sight:
    """From a few batches of what `seen_in` names."""
    ends = seen_in(source)
    means = [float(_sure(ends, values).mean()) for values in batches] if ends else []
    return Sight(ends=ends, mean=max(float(np.mean(means)), 1e-9) if means else 1.0)


def seen_in(source: Graph) -> list[str]:
    """The end tensors that go into a sigmoid and keep the picture's two axes."""
    return sorted(name for name in scored_ends(source) if len(source.shape(name)) == 4)


def _sure(ends: Sequence[str], values: Mapping[str, Tensor]) -> Tensor:
    """The mean probability over channels and ends, at the size of the largest."""
    torch = need("torch")
    maps = [values[name].sigmoid().mean(1, keepdim=True) for name in ends]
    size = max(one.shape[2:] for one in maps)
    found: Tensor = torch.stack([torch.nn.functional.interpolate(one, size=size, mode="nearest") for one in maps]).mean(0)
    return found


def loss(
    found: Sequence[Match],
    wanted: Mapping[str, Tensor],
    made: Mapping[str, Tensor],
    known: Mapping[str, Usual],
    emphasis: float = 0.0,
    places: Tensor | None = None,
) -> Tensor:
    """Squared error over variance per channel, averaged, weighed and summed: 0 for the source itself, about 1 for a constant.

    With `emphasis`, values of the source far from the usual count more, by that much per squared standard deviation. `places`
    ([pictures, 1, height, width]) says what each place of a picture counts: what a detector says of the few places that hold
    something is not to be drowned by the many that hold nothing.
    """
    parts = [
        one.weight
        * _error(wanted[one.name].index_select(one.axis, known[one.name].kept), made[one.name], one, known, emphasis, places)
        for one in found
    ]
    return need("torch").stack(parts).sum()


def _error(
    right: Tensor, made: Tensor, one: Match, known: Mapping[str, Usual], emphasis: float, places: Tensor | None
) -> Tensor:
    there, rows = known[one.name], _rows(right, one.axis)
    error = (_rows(made, one.axis) - rows).square() / there.variance
    if emphasis:
        error = error * (1 + emphasis * (rows - there.mean).square() / there.variance) / (1 + emphasis)
    if places is not None and right.dim() == 4 and one.axis == 1:
        error = error * need("torch").nn.functional.interpolate(places, size=right.shape[2:], mode="area").reshape(-1, 1)
    return error.mean()


def _rows(values: Tensor, axis: int) -> Tensor:
    """[positions, channels]"""
    return values.movedim(axis, -1).flatten(0, -2)
