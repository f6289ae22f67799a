"""Mend a pruned graph without training: each layer that lost inputs is fitted anew to what it made before, biases too.

Layer by layer from the input on, least squares over calibration data on the inputs that the layer has now (He, Zhang and Sun,
"Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, arXiv 1707.06168), as a correction that is held small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.prune.ends import Executor, Feed
from edgekit.converters.prune.layers import LAYERS, Floats, NewWeights, has_bias, with_weights
from edgekit.converters.prune.patches import PLACES, groups_of, is_fittable, output_rows, patches, row_shape
from edgekit.converters.prune.places import Places, places_that_matter
from edgekit.converters.prune.regress import Sums, correction
from edgekit.converters.prune.stream import Stream, that_fit
from edgekit.core.progress import Event, Progress, silent

TARGET_BYTES = 256 << 20
"""What the original's outputs may take; the fewer places of each picture are looked at."""
CHECKED = 4
"""Every so many-th sample says how far a correction may go, the others what it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Wanted:
    """The places of each sample that are looked at, and the original's values there: by layer output, [places, channels kept]."""

    places: Places
    limit: int
    values: Mapping[str, Sequence[Array]]


def rebuild(
    graph: Graph,
    original: Graph,
    kept: Mapping[str, NDArray[np.int64]],
    samples: Iterable[Feed],
    execute: Executor,
    most: int,
    progress: Progress = silent,
) -> Graph:
    """`graph`, pruned out of `original`, with kernels and biases fitted to the original's values on at most `most` samples.

    `kept`: for each tensor that a layer makes, the channels of the original that are left. Every node runs once for each sample, with
    all layers before it mended. Memory: `TARGET_BYTES` of targets, `LIVE_BYTES` of activations and the sums of one layer.
    """
    data = that_fit(graph, samples, most)
    layers = [node for node in graph.nodes if node.op in LAYERS and node.output in kept and node.inputs[1] in graph.constants]
    wanted = _wanted(original, layers, kept, data, execute)
    stream = Stream(graph, data, execute)
    for index, node in enumerate(layers):
        progress(Event(stage="rebuild layers", done=index, total=len(layers)))
        change = _change(graph, node, stream, wanted)
        graph = with_weights(graph, {node.name: change}) if change else graph
    return graph


def _wanted(
    original: Graph,
    layers: Sequence[Node],
    kept: Mapping[str, NDArray[np.int64]],
    samples: Sequence[Feed],
    execute: Executor,
) -> _Wanted:
    """One pass over the original."""
    channels = sum(len(kept[node.output]) for node in layers) * len(samples)
    limit = min(PLACES, max(1, TARGET_BYTES // (4 * max(channels, 1))))
    places = places_that_matter(original, samples, execute)
    run = execute(to_bytes(original, [node.output for node in layers]))
    found: dict[str, list[Array]] = {node.output: [] for node in layers}
    for index, sample in enumerate(samples):
        outputs = run(sample)
        for node in layers:
            rows = places.rows(index, row_shape(node, original.shape(node.output)), limit)
            values = output_rows(node, outputs[node.output], rows)
            found[node.output].append(values[:, kept[node.output]].astype(np.float32))
    return _Wanted(places=places, limit=limit, values=found)


def _change(graph: Graph, node: Node, stream: Stream, wanted: _Wanted) -> NewWeights | None:
    """The correction of one layer, or None when it is right as it is or has nothing to correct."""
    node = next(one for one in graph.nodes if one.name == node.name)
    if not is_fittable(graph, node):
        return _bias_alone(graph, node, stream, wanted)
    groups, weights = groups_of(graph, node)
    fit, check = (Sums.empty(*weights.shape) for _ in range(2))
    bias = graph.constants[node.inputs[2]] if has_bias(graph, node) else None
    for index, (x, right) in enumerate(_rows(graph, node, stream, wanted)):
        grouped = x.reshape(len(x), groups, -1)
        made = (np.moveaxis(grouped, 1, 0) @ weights).transpose(1, 0, 2).reshape(len(x), -1)
        missing = right - (made if bias is None else made + bias)
        (check if index % CHECKED == CHECKED - 1 else fit).take(grouped, missing.reshape(len(x), groups, -1))
    return _solved(graph, node, fit, check, biased=bias is not None)


def _rows(graph: Graph, node: Node, stream: Stream, wanted: _Wanted) -> Iterator[tuple[Array, Array]]:
    """For each sample the layer's inputs as rows [places, n], and what it should make of them [places, m]."""
    made, kernel = graph.shape(node.output), graph.shape(node.inputs[1])
    values = stream.before(graph, node.name)
    for index, ((source, *_), right) in enumerate(zip(values, wanted.values[node.output], strict=True)):
        rows = wanted.places.rows(index, row_shape(node, made), wanted.limit)
        yield patches(node, source, made, kernel, rows), right


def _bias_alone(graph: Graph, node: Node, stream: Stream, wanted: _Wanted) -> NewWeights | None:
    """The mean of what is missing, for a layer that is no one system of equations."""
    stream.before(graph, node.name)
    if not has_bias(graph, node):
        return None
    shape = row_shape(node, graph.shape(node.output))
    missing = [
        right - output_rows(node, values, wanted.places.rows(index, shape, wanted.limit))
        for index, (values, right) in enumerate(zip(stream.made_by(graph, node), wanted.values[node.output], strict=True))
    ]
    return NewWeights(bias=np.concatenate(missing).astype(np.float64).mean(axis=0))


def _solved(graph: Graph, node: Node, fit: Sums, check: Sums, *, biased: bool) -> NewWeights | None:
    every = fit + check
    if not every.count or (not np.any(every.r) and not np.any(every.xr)):
        return None
    weights = correction(fit, check, biased=biased)
    if weights is None:
        return NewWeights(bias=(every.r / every.count).reshape(-1)) if biased else None
    bias = (every.r - (every.x[:, None, :] @ weights)[:, 0]) / every.count
    return NewWeights(kernel=_as_kernel(graph, node, weights), bias=bias.reshape(-1) if biased else None)


def _as_kernel(graph: Graph, node: Node, weights: Floats) -> Floats:
    """[groups, n, m] in the layout of the layer's constant."""
    if node.op == "Conv":
        return weights.transpose(0, 2, 1).reshape(graph.shape(node.inputs[1]))
    return weights[0].T if node.op == "Gemm" and node.integer("transB", 0) else weights[0]
