"""Mend a pruned graph without training: each layer that lost inputs is fitted anew to what it made before, biases too.

Layer by layer from the input on, least squares over calibration data on the inputs that the layer has now (He, Zhang and Sun,
"Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, arXiv 1707.06168), as a correction that is held small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Floats, Graph, Node
from edgekit.converters.prune.layers import NewWeights, has_bias, with_weights
from edgekit.converters.prune.mend.original import Original, layers_of
from edgekit.converters.prune.mend.patches import groups_of, is_fittable, output_rows, patches, row_shape
from edgekit.converters.prune.mend.regress import Sums, correction
from edgekit.converters.prune.mend.stream import Stream
from edgekit.core.progress import Event, Progress, silent

CHECKED = 4
"""Every so many-th sample says how far a correction may go, the others what it is."""


def rebuild(graph: Graph, before: Original, kept: Mapping[str, NDArray[np.int64]], progress: Progress = silent) -> Graph:
    """`graph`, pruned out of an original, with kernels and biases fitted to the original's values.

    `kept`: for each tensor that a layer makes, the channels of the original that are left. Every node runs once for each sample, with
    all layers before it mended. With less than `CHECKED` samples biases alone are.
    """
    stream = Stream(graph, before.samples, before.execute)
    layers = [node for node in layers_of(graph) if node.output in kept and node.output in before.values]
    for index, node in enumerate(layers):
        progress(Event(stage="rebuild layers", done=index, total=len(layers)))
        change = _change(graph, node, stream, before, kept[node.output])
        graph = with_weights(graph, {node.name: change}) if change else graph
    return graph


def _change(graph: Graph, node: Node, stream: Stream, before: Original, kept: NDArray[np.int64]) -> NewWeights | None:
    """The correction of one layer, or None when it is right as it is or has nothing to correct."""
    node = next(one for one in graph.nodes if one.name == node.name)
    if not is_fittable(graph, node):
        return _bias_alone(graph, node, stream, before, kept)
    groups, weights = groups_of(graph, node)
    fit, check = (Sums.empty(*weights.shape) for _ in range(2))
    bias = graph.constants[node.inputs[2]] if has_bias(graph, node) else None
    for index, (x, right) in enumerate(_rows(graph, node, stream, before, kept)):
        grouped = x.reshape(len(x), groups, -1)
        made = (np.moveaxis(grouped, 1, 0) @ weights).transpose(1, 0, 2).reshape(len(x), -1)
        missing = right - (made if bias is None else made + bias)
        (check if index % CHECKED == CHECKED - 1 else fit).take(grouped, missing.reshape(len(x), groups, -1))
    return _solved(graph, node, fit, check, biased=bias is not None)


def _rows(graph: Graph, node: Node, stream: Stream, before: Original, kept: NDArray[np.int64]) -> Iterator[tuple[Array, Array]]:
    """For each sample the layer's inputs as rows [places, n], and what it should make of them [places, m]."""
    made, kernel = graph.shape(node.output), graph.shape(node.inputs[1])
    values = stream.before(graph, node.name)
    for index, ((source, *_), right) in enumerate(zip(values, before.values[node.output], strict=True)):
        yield patches(node, source, made, kernel, before.rows(index, row_shape(node, made))), right[:, kept]


def _bias_alone(graph: Graph, node: Node, stream: Stream, before: Original, kept: NDArray[np.int64]) -> NewWeights | None:
    """The mean of what is missing, for a layer that is no one system of equations."""
    if not has_bias(graph, node):
        return None
    stream.before(graph, node.name)
    shape = row_shape(node, graph.shape(node.output))
    pairs = zip(stream.made_by(graph, node), before.values[node.output], strict=True)
    missing = [
        right[:, kept] - output_rows(node, values, before.rows(index, shape)) for index, (values, right) in enumerate(pairs)
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
        return np.asarray(weights.transpose(0, 2, 1).reshape(graph.shape(node.inputs[1])))
    return np.asarray(weights[0].T if node.op == "Gemm" and node.integer("transB", 0) else weights[0])
