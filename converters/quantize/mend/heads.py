"""Where integers end: what leaves the quantized part of a graph, and how much noise it carries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.converters.ends import end_tensors
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Floats, Graph
from edgekit.converters.places import places_that_matter
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.rules.roles import is_float

Answers = Sequence[Sequence[Array]]
"""For each sample its tensors."""
PICTURE = 4
"""Axes of a batch of feature maps."""


def heads(graph: Graph, quantization: Quantization) -> tuple[str, ...]:
    """The graph outputs, and in place of those computed in float at the end, the computed tensors that this float tail reads.

    A decoded box is worth hundreds and a score less than one: behind the decoder an error in a score could not be seen.
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [spec.name for spec in reversed(graph.outputs)]
    while waiting:
        name = waiting.pop()
        if name in seen or name in graph.constants or not is_float(graph, name):
            continue
        seen.add(name)
        producer = graph.producers.get(name)
        if producer is not None and producer.name in quantization.float_nodes and name not in quantization.activations:
            waiting += reversed(producer.inputs)
        elif producer is not None:
            found[name] = None
    return tuple(found)


def noise(reference: Answers, given: Answers, weights: Sequence[Sequence[Floats]] = ()) -> float:
    """Mean squared error over variance; the mean over the tensors that vary at all.

    All hold for each sample its tensors, in the same order; `weights`, which broadcast against them, say what each place counts.
    """
    counted = weights or [[np.ones(()) for _ in tensors] for tensors in reference]
    columns = zip(zip(*reference, strict=True), zip(*given, strict=True), zip(*counted, strict=True), strict=True)
    ratios = [ratio for column in columns if (ratio := _ratio(*column)) is not None]
    return float(np.mean(ratios)) if ratios else 0.0


def _ratio(true: Sequence[Array], other: Sequence[Array], counted: Sequence[Floats]) -> float | None:
    """Of one tensor over all samples; None where it is the same everywhere."""
    exact = np.stack(true).astype(np.float64)
    weight = np.stack([np.broadcast_to(one, value.shape) for one, value in zip(counted, true, strict=True)])
    spread = np.average(np.square(exact - np.average(exact, weights=weight)), weights=weight)
    return float(np.average(np.square(np.stack(other) - exact), weights=weight) / spread) if spread > 0 else None


def places_of(graph: Graph, names: Sequence[str], samples: Sequence[Feed], execute: Executor) -> list[list[Floats]]:
    """For each sample and tensor what each place counts: half of it by where the network sees something (see `places`).

    That is known of last layers that keep the picture's two axes. In others, and where nothing ends in a sigmoid, all places are alike.
    """
    pictures = {name for name, axis in end_tensors(graph).items() if axis == 1 and len(graph.shape(name)) == PICTURE}
    places = places_that_matter(graph, samples, execute)

    def over(sample: int, name: str) -> Floats:
        if name not in pictures:
            return np.ones(())
        count, _, height, width = graph.shape(name)
        return places.weights(sample, (count, height, width)).reshape(count, 1, height, width)

    return [[over(index, name) for name in names] for index in range(len(samples))]
