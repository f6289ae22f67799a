"""Which places of a sample are looked at: half of them anywhere, half where the network sees something.

A detector sees nothing almost everywhere; what it says of the few places that hold something must not drown in that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.ends import scored_ends
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Floats, Graph
from edgekit.converters.graph_onnx import to_bytes

EVEN = 0.5
"""Share of the weight that all places have alike."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """For each sample how much each place of the picture counts, [height, width] with a mean of one, or None: all alike."""

    maps: Sequence[Floats | None] = ()
    _drawn: dict[tuple[object, ...], NDArray[np.int64]] = field(default_factory=dict)

    def rows(self, sample: int, shape: tuple[int, ...], limit: int) -> NDArray[np.int64]:
        """At most `limit` positions of a tensor without its channels (`shape`), the same ones in every run; what counts more is likelier."""
        key = (sample, shape, limit)
        if key not in self._drawn:
            self._drawn[key] = self._draw(sample, shape, limit)
        return self._drawn[key]

    def weights(self, sample: int, shape: tuple[int, ...]) -> Floats:
        """[positions]: how much each counts."""
        known = self.maps[sample] if sample < len(self.maps) else None
        if known is None or len(shape) != 3:
            return np.ones(int(np.prod(shape)))
        return np.asarray(np.broadcast_to(resized(known, shape[1], shape[2]), shape).reshape(-1))

    def _draw(self, sample: int, shape: tuple[int, ...], limit: int) -> NDArray[np.int64]:
        count = int(np.prod(shape))
        if count <= limit:
            return np.arange(count)
        chances = np.random.RandomState(sample).exponential(size=count) / self.weights(sample, shape)
        return np.sort(np.argpartition(chances, limit)[:limit]).astype(np.int64)


def resized(values: Floats, height: int, width: int) -> Floats:
    """The nearest value for each place of a picture of another size."""
    rows, columns = (np.arange(new) * old // new for new, old in zip((height, width), values.shape, strict=True))
    found: Floats = values[rows[:, None], columns]
    return found


def places_that_matter(graph: Graph, samples: Iterable[Feed], execute: Executor) -> Places:
    """By what the last layers of `graph` that end in a sigmoid, and keep the picture's two axes, say of each place; else all alike."""
    ends = sorted(name for name in scored_ends(graph) if len(graph.shape(name)) == 4)
    if not ends:
        return Places()
    run = execute(to_bytes(graph, ends))
    maps = [_map({name: found[name] for name in ends}) for found in map(run, samples)]
    mean = max(float(np.mean(maps)), np.finfo(np.float64).tiny)
    return Places(maps=[EVEN + (1 - EVEN) * one / mean for one in maps])


def _map(answers: Mapping[str, Array]) -> Floats:
    """[height, width] of the largest: the mean probability over channels and tensors."""
    height, width = (max(value.shape[axis] for value in answers.values()) for axis in (2, 3))
    sure = [(1 + np.tanh(value.astype(np.float64) / 2)).mean(axis=(0, 1)) / 2 for value in answers.values()]
    return np.asarray(np.mean([resized(one, height, width) for one in sure], axis=0))
