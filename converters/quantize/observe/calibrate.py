"""Calibration: run the float graph over sample inputs and record how every activation spreads."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sized
from dataclasses import dataclass

import numpy as np

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.observe.fetch import BUDGET_BYTES, HINT, fetch
from edgekit.converters.quantize.observe.histogram import SAMPLED, Histogram, merge, observe
from edgekit.converters.quantize.observe.masks import infinite, softmax_axis, without_masked
from edgekit.core.errors import InputError
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import TensorSpec

FEW, ENOUGH = 8, 32
FEWEST_VALUES = 1 << 12
"""Values counted per sample and tensor when there are very many samples; `SAMPLED` up to `ENOUGH` of them. Extremes see every value."""


def calibrate(
    graph: Graph,
    samples: Iterable[Feed],
    execute: Executor,
    *,
    progress: Progress = silent,
    budget_bytes: int = BUDGET_BYTES,
    whole: bool = True,
    counted: Collection[str] | None = None,
) -> Calibration:
    """Histograms of every float activation of `graph` over `samples` (input name -> array of the input's shape and dtype).

    `execute` loads a serialized ONNX model and returns a function from a feed to all outputs by name.
    Raises `InputError` when there are no samples, when one does not fit the inputs or is not finite, when all of them together
    are one constant value, or when an activation becomes NaN or infinite (the message names the sample and the tensor).
    Samples that are not the `whole` of the data may be constant. Where only some tensors are `counted`, of the others nothing but
    the extremes is known.
    """
    wanted = _activations(graph)
    total = len(samples) if isinstance(samples, Sized) else 0
    endless = infinite(graph)
    sampled = max(SAMPLED * ENOUGH // max(total, ENOUGH), FEWEST_VALUES)
    stream = _Stream(inputs=graph.inputs, digest=hashlib.sha256(), distinct=set())
    found: dict[str, Histogram] = {}
    for index, (sample, activations) in enumerate(fetch(graph, wanted, samples, execute, budget_bytes=budget_bytes)):
        stream.take(sample)
        for name, values in activations:
            kept = without_masked(values, softmax_axis(graph, name), infinities=name in endless)
            _record(found, index, name, kept, sampled if counted is None or name in counted else 1)
        progress(Event(stage="calibrate", done=index + 1, total=total))
    if whole:
        _ensure_spread(found, graph, stream.samples)
    return Calibration(
        histograms={name: found[name] for name in wanted if name in found},
        samples=stream.samples,
        sha256=stream.digest.hexdigest(),
        notes=stream.notes(),
    )


@dataclass(kw_only=True)
class _Stream:
    """What is remembered of the samples themselves: a running hash, and one hash each."""

    inputs: tuple[TensorSpec, ...]
    digest: hashlib._Hash
    distinct: set[bytes]
    samples: int = 0

    def take(self, sample: Feed) -> None:
        one = hashlib.sha256()
        for spec in self.inputs:
            one.update(f"{spec.name}:{spec.dtype}:{spec.shape};".encode())
            one.update(np.ascontiguousarray(sample[spec.name]).data)
        self.digest.update(one.digest())
        self.distinct.add(one.digest())
        self.samples += 1

    def notes(self) -> tuple[str, ...]:
        count = len(self.distinct)
        said = f"calibrated on {count} different samples" if count > 1 else "calibrated on a single sample"
        return (
            (f"{said}: ranges may be too narrow for what the device will see ({ENOUGH} or more are better)",)
            if count < FEW
            else ()
        )


def _activations(graph: Graph) -> tuple[str, ...]:
    """Every computed float tensor, inputs first, in order."""
    names = [*(spec.name for spec in graph.inputs), *(name for node in graph.nodes for name in node.outputs if name)]
    floats = (name for name in names if name in graph.specs and graph.specs[name].dtype in ("float32", "float64", "float16"))
    return tuple(name for name in floats if math.prod(graph.shape(name)) > 0)


def _record(found: dict[str, Histogram], index: int, name: str, values: Array, sampled: int) -> None:
    if values.dtype.kind != "f" or values.size == 0:
        return
    try:
        seen = observe(values, phase=index * 7919, sampled=sampled)
    except ValueError as exc:
        raise InputError(
            f"calibration sample {index}: tensor {name!r}: {exc}", "leave that sample out, or check the model"
        ) from exc
    found[name] = merge(found[name], seen) if name in found else seen


def _ensure_spread(found: Mapping[str, Histogram], graph: Graph, samples: int) -> None:
    """Raise `InputError` when there was nothing to learn from."""
    inputs = [found[spec.name] for spec in graph.inputs if spec.name in found]
    if inputs and all(histogram.minimum == histogram.maximum for histogram in inputs):
        value = inputs[0].minimum
        raise InputError(f"calibration data is constant: every value of all {samples} samples is {value:g}", HINT)
