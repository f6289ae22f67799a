"""Pixels moved into channels before a convolution (Focus, SpaceToDepth): one operator instead of strided slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.geometry import Window, flat, group_count, window
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Scribe
from edgekit.converters.lower.tflite.legal.views import MOVES, View, views

Phases = NDArray[np.int64]
"""One row per channel of the moved tensor: the root's channel, row offset and column offset."""


@dataclass(frozen=True, kw_only=True)
class Stem:
    """A convolution of `root[:, c, a::step, b::step]`: its window and weights, and (c, a, b) per channel."""

    root: str
    step: int
    found: Phases
    span: Window
    weights: Array


def one_convolution(graph: Graph, node: Node) -> Replacement | None:
    """The convolution reads the pixels where they are, kernel and stride `step` times as large.

    Same work, same result; what it spares is the movement, which the Edge TPU does not map.
    """
    stem = _stem(graph, node)
    if stem is None:
        return None
    scribe = Scribe(graph, node)
    kernel = spread(stem.weights, stem.found, graph.shape(stem.root)[1], stem.step)
    pads = flat(tuple((before * stem.step, after * stem.step) for before, after in stem.span.pads))
    strides = tuple(stride * stem.step for stride in stem.span.strides)
    inputs = [stem.root, scribe.constant("weights", kernel), *node.inputs[2:]]
    return scribe.finish("Conv", inputs, kernel_shape=kernel.shape[2:], strides=strides, pads=pads)


def one_space_to_depth(graph: Graph, node: Node) -> Replacement | None:
    """One SpaceToDepth moves the pixels, and the weights are put in its order.

    CPUs like it better than the large kernel over three channels, which fills a fraction of their int8 registers.
    """
    stem = _stem(graph, node)
    if stem is None or graph.producers[node.inputs[0]].op == "SpaceToDepth":
        return None
    scribe, (batch, channels, *_), width = Scribe(graph, node), graph.shape(stem.root), stem.step**2
    shape = (batch, channels * width, *stem.span.size)
    moved = scribe.add("SpaceToDepth", [stem.root], shape, "pixels", blocksize=stem.step)
    ordered = np.zeros((stem.weights.shape[0], channels * width, *stem.weights.shape[2:]), stem.weights.dtype)
    for index, (channel, row, column) in enumerate(stem.found):
        ordered[:, (row * stem.step + column) * channels + channel] += stem.weights[:, index]
    return scribe.again([moved, scribe.constant("weights", ordered), *node.inputs[2:]])


def _stem(graph: Graph, node: Node) -> Stem | None:
    """What a convolution of moved pixels is made of, or None when it is none."""
    if node.op != "Conv" or group_count(node) != 1 or len(graph.shape(node.inputs[0])) != 4:
        return None
    span, weights = window(graph, node), graph.constants.get(node.inputs[1])
    view = _view(graph, node.inputs[0])
    if view is None or weights is None or any(d != 1 for d in span.dilations):
        return None
    step = graph.shape(view.root)[2] // span.size[0]
    found = phases(view.index, graph.shape(view.root), step) if step > 1 else None
    return None if found is None else Stem(root=view.root, step=step, found=found, span=span, weights=weights)


def _view(graph: Graph, name: str) -> View | None:
    """The view that a tensor is; worked out only where a movement ends, since it runs every movement of the graph."""
    return views(graph).get(name) if _is_moved(graph, name) else None


def _is_moved(graph: Graph, name: str) -> bool:
    maker = graph.producers.get(name)
    if maker is None or maker.op not in ("Concat", "SpaceToDepth", "Reshape"):
        return False
    return maker.op != "Concat" or all(part in graph.producers and graph.producers[part].op in MOVES for part in maker.inputs)


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
