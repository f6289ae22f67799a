"""A float graph's activations over samples: fetched in memory that depends on neither the graph nor the number of samples.

Samples stream through once. No activation outlives its sample, and when the wanted ones together would be too large they are
fetched by several models in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.core.errors import InputError
from edgekit.core.schema import TensorSpec

BUDGET_BYTES = 256 << 20
"""Activations that one run may return."""
HINT = "give a folder of pictures like those the device will see: --calibration DIR"


def fetch(
    graph: Graph, names: Sequence[str], samples: Iterable[Feed], execute: Executor, *, budget_bytes: int = BUDGET_BYTES
) -> Iterator[tuple[Feed, Iterator[tuple[str, Array]]]]:
    """Each sample with every tensor of `names` (graph inputs and computed ones) and its values, each once.

    `execute` loads a serialized ONNX model and returns a function from a feed to all outputs by name. Raises `InputError` when
    there are no samples, and when one does not fit the inputs or is not finite.
    """
    runs = [execute(to_bytes(graph, chunk)) for chunk in _chunks(graph, names, budget_bytes)]
    wanted, index = frozenset(names), -1
    for index, sample in enumerate(samples):
        _check(index, sample, graph.inputs)
        yield sample, _values(runs, sample, wanted)
    if index < 0:
        raise InputError("there are no calibration samples", HINT)


def _chunks(graph: Graph, names: Sequence[str], budget_bytes: int) -> Iterator[tuple[str, ...]]:
    """Computed tensors in groups that fit the budget; at least one group."""
    inputs = {spec.name for spec in graph.inputs}
    return portions(((name, 4 * math.prod(graph.shape(name))) for name in names if name not in inputs), budget_bytes)


def portions(sized: Iterable[tuple[str, int]], budget: int) -> Iterator[tuple[str, ...]]:
    """Names in groups, in order, whose sizes together fit the budget; one that is larger goes alone. At least one group."""
    chunk: list[str] = []
    used = 0
    for name, size in sized:
        if chunk and used + size > budget:
            yield tuple(chunk)
            chunk, used = [], 0
        chunk.append(name)
        used += size
    yield tuple(chunk)


def _values(runs: Sequence[Callable[[Feed], Feed]], sample: Feed, wanted: Collection[str]) -> Iterator[tuple[str, Array]]:
    """The wanted ones of the sample's inputs and then of what the runs return."""
    seen: set[str] = set()
    for arrays in chain((sample,), (run(sample) for run in runs)):
        yield from ((name, values) for name, values in arrays.items() if name in wanted and name not in seen)
        seen |= set(arrays)


def _check(index: int, sample: Feed, inputs: Sequence[TensorSpec]) -> None:
    """Raise `InputError` unless the sample has exactly the inputs, with their shapes and dtypes, and finite values."""
    needed, given = {spec.name for spec in inputs}, set(sample)
    if needed != given:
        raise InputError(
            f"calibration sample {index} has inputs {sorted(given)}, the model needs {sorted(needed)}",
            "name the arrays as the inputs",
        )
    for spec in inputs:
        values = np.asarray(sample[spec.name])
        if values.shape != spec.shape:
            raise InputError(
                f"calibration sample {index}: {spec.name!r} has shape {values.shape}, the model needs {spec.shape}", HINT
            )
        if values.dtype.name != spec.dtype:
            raise InputError(
                f"calibration sample {index}: {spec.name!r} is {values.dtype.name}, the model needs {spec.dtype}", HINT
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            wrong = "NaN" if np.isnan(values).any() else "infinity"
            raise InputError(f"calibration sample {index}: input {spec.name!r} holds {wrong}", "leave that sample out")
