"""Pixels moved into channels before a convolution (Focus, SpaceToDepth): one convolution of larger stride."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.geometry import flat, group_count, window
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Scribe
from edgekit.converters.lower.tflite.legal.views import View, views

Phases = NDArray[np.int64]
"""One row per channel of the moved tensor: the root's channel, row offset and column offset."""


def fold_space_to_depth(graph: Graph, node: Node) -> Replacement | None:
    """Conv(channels made of every s-th pixel) is a convolution of the pixels, kernel and stride s times as large.

    Same work, same result; what it spares is the strided slices, which the Edge TPU does not map.
    """
    if node.op != "Conv" or group_count(node) != 1 or len(graph.shape(node.inputs[0])) != 4:
        return None
    span, weights = window(graph, node), graph.constants.get(node.inputs[1])
    view = _view(graph, node.inputs[0])
    if view is None or weights is None or any(d != 1 for d in span.dilations):
        return None
    step = graph.shape(view.root)[2] // span.size[0]
    found = phases(view.index, graph.shape(view.root), step) if step > 1 else None
    if found is None:
        return None
    scribe = Scribe(graph, node)
    kernel = spread(weights, found, graph.shape(view.root)[1], step)
    pads = flat(tuple((before * step, after * step) for before, after in span.pads))
    strides = tuple(stride * step for stride in span.strides)
    inputs = [view.root, scribe.constant("weights", kernel), *node.inputs[2:]]
    return scribe.finish("Conv", inputs, kernel_shape=kernel.shape[2:], strides=strides, pads=pads)


def _view(graph: Graph, name: str) -> View | None:
    """The view that a tensor is, worked out only for what stands behind the movements that end here."""
    maker = graph.producers.get(name)
    return views(graph).get(name) if maker and maker.op in ("Concat", "SpaceToDepth", "Reshape") else None


def phases(index: NDArray[np.int32], root: tuple[int, ...], step: int) -> Phases | None:
    """Where each channel starts when `index` is `root[:, c, a::step, b::step]` for one (c, a, b) per channel, or None."""
    batch, _, height, width = root
    if index.shape[0] != batch or (index.shape[2] * step, index.shape[3] * step) != (height, width):
        return None
    first = index[0, :, 0, 0].astype(np.int64)
    found = np.stack([first // (height * width), first // width % height, first % width], axis=1)
    if found[:, 1:].max() >= step:
        return None
    rows, columns = (np.arange(size) * step for size in index.shape[2:])
    inside = first[:, None, None] + rows[:, None] * width + columns
    expected = np.arange(batch)[:, None, None, None] * np.prod(root[1:]) + inside
    return found if np.array_equal(expected, index) else None


def spread(weights: Array, found: Phases, channels: int, step: int) -> Array:
    """The weights over pixels: [out, moved, kh, kw] -> [out, channels, step * kh, step * kw]."""
    out, _, rows, columns = weights.shape
    result = np.zeros((out, channels, step * rows, step * columns), weights.dtype)
    for index, (channel, row, column) in enumerate(found):
        result[:, channel, row::step, column::step] += weights[:, index]
    return result
