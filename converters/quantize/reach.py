"""How far each channel of a tensor goes over the calibration data: all that is needed to see which channels are small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph
from edgekit.converters.quantize.fetch import BUDGET_BYTES, Executor, Feed, fetch
from edgekit.core.progress import Event, Progress, silent

Reach = NDArray[np.float64]


def reaches(
    graph: Graph,
    names: Sequence[str],
    samples: Iterable[Feed],
    execute: Executor,
    *,
    progress: Progress = silent,
    budget_bytes: int = BUDGET_BYTES,
) -> Mapping[str, Reach]:
    """Largest absolute value per channel ([c]) of each named float tensor ([n, c, ...]), over all samples.

    A channel that becomes NaN or infinite says so. Raises `InputError` as `fetch` does.
    """
    total = len(samples) if isinstance(samples, Sized) else 0
    found: dict[str, Reach] = {}
    for index, (_, activations) in enumerate(fetch(graph, names, samples, execute, budget_bytes=budget_bytes)):
        for name, values in activations:
            seen = channel_reach(values)
            found[name] = np.maximum(found[name], seen) if name in found else seen
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
