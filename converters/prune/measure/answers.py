"""What a network answers at its ends, and how far another is from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.executor import Feed
from edgekit.converters.graph import Array, Floats, Graph
from edgekit.converters.rewriting import without_dead


def channel_rows(values: Array, axis: int) -> Floats:
    """[positions, channels] in float64."""
    return np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis]).astype(np.float64)


def up_to(graph: Graph, names: Iterable[str]) -> Graph:
    """The part of the graph that computes these tensors."""
    return without_dead(replace(graph, outputs=tuple(graph.specs[name] for name in names)))


def some_rows(values: Array, axis: int, rows: NDArray[np.int64]) -> Array:
    """[rows, channels]: those of `channel_rows`, without a copy of the rest."""
    moved = np.moveaxis(values, axis, -1)
    found: Array = moved[np.unravel_index(rows, moved.shape[:-1])]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What an end tensor is for one sample: its values [positions, channels], and how much each position counts."""

    values: Floats
    weights: Floats


def noise(
    run: Callable[[Feed], Feed], ends: Mapping[str, int], probes: Iterable[Feed], wanted: Sequence[Mapping[str, Answer]]
) -> float:
    """How far the end tensors are from what they were (`wanted`, per probe), 1 for all being lost.

    Squared error over variance in each channel, so that scores count as much as the larger numbers of boxes; the mean over channels
    and tensors.
    """
    error: dict[str, Floats] = {name: np.zeros(right.values.shape[1]) for name, right in wanted[0].items()}
    for sample, right in zip(probes, wanted, strict=True):
        outputs = run(sample)
        for name, axis in ends.items():
            one = right[name]
            error[name] = error[name] + one.weights @ np.square(channel_rows(outputs[name], axis) - one.values)
    spread = {name: _spread([right[name] for right in wanted]) for name in ends}
    return float(np.mean([np.mean(np.minimum(error[name] / spread[name], 1e6)) for name in ends]))


def _spread(answers: Sequence[Answer]) -> Floats:
    """Squared deviation from the mean per channel, summed; channels that hardly vary count as a hundredth of the usual one."""
    every, weights = (np.concatenate(parts) for parts in ([one.values for one in answers], [one.weights for one in answers]))
    total = weights @ np.square(every - weights @ every / weights.sum())
    return np.asarray(np.maximum(total, max(float(total.mean()) / 100, np.finfo(np.float64).tiny)))
