"""Weights that share a few values: each kernel becomes a small table and indices, which packs well.

One-dimensional k-means (Lloyd) from quantiles, as in Han, Mao and Dally, "Deep Compression" (ICLR 2016, arXiv 1510.00149).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.converters.ends import LAYERS
from edgekit.converters.graph import Floats, Graph
from edgekit.core.errors import UsageError

ROUNDS = 50
"""Lloyd's steps at most; it settles long before."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clustered:
    """A graph whose kernels hold few values each; `errors` is the squared error over the energy, by constant."""

    graph: Graph
    errors: Mapping[str, float]


def cluster(graph: Graph, *, values: int = 16, smallest: int = 256) -> Clustered:
    """`graph` with at most `values` different numbers in each kernel of at least `smallest` weights; zeros stay zeros.

    Guarantees: same operators, shapes, inputs and outputs. Raises `UsageError` for fewer than two values.
    """
    if values < 2:
        raise UsageError(f"{values} values per kernel are too few", "16 values take 4 bits each")
    kernels = dict.fromkeys(node.inputs[1] for node in graph.nodes if node.op in LAYERS and node.inputs[1] in graph.constants)
    chosen = {name: graph.constants[name] for name in kernels if graph.constants[name].size >= smallest}
    made = {name: _clustered(weight.astype(np.float64), values).astype(weight.dtype) for name, weight in chosen.items()}
    errors = {
        name: float(
            np.square(made[name].astype(np.float64) - old).sum() / max(float(np.square(old.astype(np.float64)).sum()), 1e-300)
        )
        for name, old in chosen.items()
    }
    return Clustered(graph=graph.with_nodes(graph.nodes, constants=made), errors=errors)


def _clustered(weight: Floats, values: int) -> Floats:
    """The weight with every number replaced by the nearest of at most `values`, one of which is zero when there are zeros."""
    flat = weight.reshape(-1)
    numbers = np.unique(flat[flat != 0])
    room = values - 1 if np.any(flat == 0) else values
    if len(numbers) <= room:
        return weight
    filled = flat[flat != 0]
    table = np.unique(np.quantile(filled, (np.arange(room) + 0.5) / room))
    for _ in range(ROUNDS):
        nearest = _nearest(filled, table)
        sums, counts = np.bincount(nearest, filled, len(table)), np.bincount(nearest, minlength=len(table))
        better = np.where(counts > 0, sums / np.maximum(counts, 1), table)
        if np.array_equal(better, table):
            break
        table = np.sort(better)
    made = flat.copy()
    made[flat != 0] = table[_nearest(filled, table)]
    return np.asarray(made.reshape(weight.shape))


def _nearest(numbers: Floats, table: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """The index of the entry of the sorted `table` that is nearest to each number."""
    return np.searchsorted((table[1:] + table[:-1]) / 2, numbers)
