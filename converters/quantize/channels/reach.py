"""How far each channel of a tensor goes over the calibration data, and how large it is there: what tells which channels are small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph
from edgekit.converters.quantize.observe.fetch import BUDGET_BYTES, fetch
from edgekit.core.progress import Event, Progress, silent

Reach = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """The channels of a tensor over some samples, one number for each: `largest` absolute value, and sums over the samples.

    `reach` sums the largest absolute value in each sample, `squared` the squares of that, `power` the mean square of all values.
    """

    samples: int
    largest: Reach
    reach: Reach
    squared: Reach
    power: Reach

    def __add__(self, other: Spread) -> Spread:
        """Both sets of samples together."""
        return Spread(
            samples=self.samples + other.samples,
            largest=np.maximum(self.largest, other.largest),
            reach=self.reach + other.reach,
            squared=self.squared + other.squared,
            power=self.power + other.power,
        )

    @property
    def mean_square(self) -> Reach:
        """Of all values."""
        return self.power / self.samples

    @property
    def deviation(self) -> Reach:
        """How much a channel's reach differs from sample to sample (one standard deviation)."""
        mean = self.reach / self.samples
        return np.asarray(np.sqrt(np.maximum(self.squared / self.samples - np.square(mean), 0)))


def spread_of(values: Array) -> Spread:
    """The channels (axis 1) of a tensor in one sample."""
    reach = channel_reach(values)
    rows = np.ascontiguousarray(values).reshape(*values.shape[:2], -1)
    power = np.einsum("nci,nci->c", rows, rows).astype(np.float64) / (rows.size / rows.shape[1])
    return Spread(samples=1, largest=reach, reach=reach, squared=np.square(reach), power=power)


def spreads(
    graph: Graph,
    names: Sequence[str],
    samples: Iterable[Feed],
    execute: Executor,
    *,
    progress: Progress = silent,
    budget_bytes: int = BUDGET_BYTES,
) -> Mapping[str, Spread]:
    """How the channels of each named float tensor ([n, c, ...]) spread over all samples.

    A channel that becomes NaN or infinite says so. Raises `InputError` as `fetch` does.
    """
    total = len(samples) if isinstance(samples, Sized) else 0
    found: dict[str, Spread] = {}
    for index, (_, activations) in enumerate(fetch(graph, names, samples, execute, budget_bytes=budget_bytes)):
        for name, values in activations:
            seen = spread_of(values)
            found[name] = found[name] + seen if name in found else seen
        progress(Event(stage="reach", done=index + 1, total=total))
    return found


def last_reaches(
    graph: Graph, names: Sequence[str], samples: Iterable[Feed], execute: Executor, *, budget_bytes: int = BUDGET_BYTES
) -> Mapping[str, Reach]:
    """Largest absolute value per slice of the last axis of each named float tensor, over all samples. Raises as `fetch` does."""
    found: dict[str, Reach] = {}
    for _, activations in fetch(graph, names, samples, execute, budget_bytes=budget_bytes):
        for name, values in activations:
            seen = np.abs(values).max(axis=tuple(range(values.ndim - 1))).astype(np.float64)
            found[name] = np.maximum(found[name], seen) if name in found else seen
    return found


def channel_reach(values: Array) -> Reach:
    """Largest absolute value per slice of axis 1."""
    rows = np.ascontiguousarray(values).reshape(*values.shape[:2], -1)
    return np.asarray(np.maximum(-rows.min(axis=-1), rows.max(axis=-1)).max(axis=0).astype(np.float64))
