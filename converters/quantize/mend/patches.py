"""What each output of a layer is a sum over: rows of inputs, as a convolution or a matrix product reads them."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.quantize.rules.roles import integer

MOST = 256
"""Places of one sample that are looked at."""


def patches(graph: Graph, node: Node, values: Array, *, phase: int = 0) -> NDArray[np.float32]:
    """The inputs of some outputs, [groups, places, inputs], for a Gemm or for a Conv that is depthwise or not grouped.

    At most about `MOST` places, evenly strided; `phase` shifts them, so that successive samples are looked at elsewhere.
    """
    if node.op == "Gemm":
        rows = values.T if node.attributes.get("transA", 0) else values
        return _some(np.ascontiguousarray(rows, np.float32)[None], phase)
    windows = _windows(graph, node, values)
    channels, kernel = windows.shape[0], windows.shape[-2] * windows.shape[-1]
    places = _some(
        windows.reshape(channels, -1, kernel) if windows.size <= MOST * channels * kernel else _thinned(windows, phase), phase
    )
    if integer(node, "group", 1) > 1:
        return places
    return np.ascontiguousarray(places.transpose(1, 0, 2).reshape(1, places.shape[1], -1))


def _windows(graph: Graph, node: Node, values: Array) -> NDArray[np.float32]:
    """Every window of every channel, as views: [channels, batch, rows, columns, kernel height, kernel width]."""
    kernel = graph.shape(node.inputs[1])[2:]
    strides, dilations = node.integers("strides", (1, 1)), node.integers("dilations", (1, 1))
    top, left, bottom, right = _pads(graph, node, kernel, strides, dilations)
    padded = np.pad(values.astype(np.float32), ((0, 0), (0, 0), (top, bottom), (left, right)))
    reach = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True))
    windows = sliding_window_view(padded, reach, axis=(2, 3))
    taken = windows[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    return np.asarray(taken.transpose(1, 0, 2, 3, 4, 5))


def _pads(
    graph: Graph, node: Node, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[int, ...]:
    """Zeros before and after each dimension: as written, or as `auto_pad` means them."""
    kind = node.text("auto_pad", "NOTSET")
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        return (0, 0, 0, 0) if kind == "VALID" else tuple(node.integers("pads", (0, 0, 0, 0)))
    sizes = zip(graph.shape(node.inputs[0])[2:], kernel, strides, dilations, strict=True)
    whole = [max((-(-size // step) - 1) * step + (taps - 1) * apart + 1 - size, 0) for size, taps, step, apart in sizes]
    less, more = [total // 2 for total in whole], [total - total // 2 for total in whole]
    return (*less, *more) if kind == "SAME_UPPER" else (*more, *less)


def _thinned(windows: NDArray[np.float32], phase: int) -> NDArray[np.float32]:
    """Some of the places, picked before they are copied."""
    channels, batch, height, width = windows.shape[:4]
    count = batch * height * width
    chosen = np.arange(phase % max(count // MOST, 1), count, max(count // MOST, 1) | 1)
    first, row, column = np.unravel_index(chosen, (batch, height, width))
    return np.ascontiguousarray(windows[:, first, row, column]).reshape(channels, len(chosen), -1)


def _some(rows: NDArray[np.float32], phase: int) -> NDArray[np.float32]:
    """At most about `MOST` of the rows (axis 1)."""
    stride = max(rows.shape[1] // MOST, 1)
    return rows if stride == 1 else rows[:, phase % stride :: stride]
