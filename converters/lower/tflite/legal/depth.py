"""Windows over depth, height and width: the frames that a window reads, brought together, then a window over height and width.

A convolution reads them behind one another along the channels, so that one CONV_2D sums them; with groups, each slice of the kernel
is a convolution of its own, and the results are added. A pool takes the largest, or the mean, of the frames it has pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from edgekit.converters.graph import Array, Attribute, Graph, Node
from edgekit.converters.lower.tflite.geometry import Window, flat, group_count, window
from edgekit.converters.lower.tflite.legal.frames import RANK, frame_shape, frames, put_together
from edgekit.converters.lower.tflite.legal.frames import RULES as FRAME_RULES
from edgekit.converters.lower.tflite.legal.pools import never_negative
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Scribe
from edgekit.converters.lower.tflite.legal.taps import Taps, largest_of, taken, taps_of


def convolution(graph: Graph, node: Node) -> Replacement | None:
    """A convolution over depth, height and width."""
    weights = graph.constants.get(node.inputs[1]) if node.op == "Conv" and len(graph.shape(node.inputs[0])) == RANK else None
    if weights is None:
        return None
    span, scribe = window(graph, node), Scribe(graph, node)
    taps, x = taps_of(span), frames(scribe, node.inputs[0])
    used = [tap for tap in range(span.kernel[0]) if taps.inside[tap].any()] or [0]
    read = _read(scribe, x, graph.shape(node.inputs[0])[0], taps, used)
    shape, flat_attributes = frame_shape(graph.shape(node.output)), _across(node, span)
    flat_attributes["group"] = group_count(node)
    bias = [name for name in node.inputs[2:] if name]
    if group_count(node) == 1:
        kernel = scribe.constant("kernel", np.concatenate([weights[:, :, tap] for tap in used], axis=1))
        return put_together(scribe, scribe.add("Conv", [_joined(scribe, read), kernel, *bias], shape, "all", **flat_attributes))
    parts = []
    for index, (name, tap) in enumerate(zip(read, used, strict=True)):
        kernel = scribe.constant(f"kernel{tap}", weights[:, :, tap])
        inputs = [name, kernel, *(bias if index == 0 else ())]
        parts.append(scribe.add("Conv", inputs, shape, f"slice{tap}", **flat_attributes))
    return put_together(scribe, _summed(scribe, parts, shape))


def largest(graph: Graph, node: Node) -> Replacement | None:
    """A maximum over depth, height and width."""
    if node.op != "MaxPool" or len(graph.shape(node.inputs[0])) != RANK or len([name for name in node.outputs if name]) > 1:
        return None
    span, scribe = window(graph, node), Scribe(graph, node)
    batch, taps = graph.shape(node.inputs[0])[0], taps_of(span)
    if not taps.inside.any(axis=0).all():
        return None
    pooled = _pooled(scribe, node, span)
    if any(taps.padding) and not never_negative(graph, node.inputs[0]):
        taps = taps.within
    return put_together(scribe, largest_of(scribe, _read(scribe, pooled, batch, taps, range(span.kernel[0]))))


def average(graph: Graph, node: Node) -> Replacement | None:
    """A mean over depth, height and width: that over depth of those over height and width."""
    if node.op != "AveragePool" or len(graph.shape(node.inputs[0])) != RANK:
        return None
    span, scribe = window(graph, node), Scribe(graph, node)
    counts = _counts(span, counted=bool(node.integer("count_include_pad", 0)))
    if not counts.all():
        return None
    batch, taps, shape = graph.shape(node.inputs[0])[0], taps_of(span), frame_shape(graph.shape(node.output))
    pooled = _pooled(scribe, node, span)
    if batch == 1 and span.out[0] == 1 and span.kernel[0] == span.size[0] == counts[0]:
        return put_together(scribe, scribe.reduced("ReduceMean", pooled, (0,), "mean"))
    total = _summed(scribe, _read(scribe, pooled, batch, taps, range(span.kernel[0])), shape)
    if np.all(counts == 1):
        return put_together(scribe, total)
    share = np.tile(1 / counts, batch).reshape(-1, 1, 1, 1) if np.ptp(counts) else np.array(1 / counts[0])
    return put_together(scribe, scribe.add("Mul", [total, scribe.constant("share", share)], shape, "mean"))


def _counts(span: Window, *, counted: bool) -> Array:
    """How many frames count in the mean of each frame of the output."""
    before, after = span.pads[0] if counted else (0, 0)
    places = taps_of(span).places
    found: Array = ((places >= -before) & (places < span.size[0] + after)).sum(axis=0)
    return found


def _across(node: Node, span: Window) -> dict[str, Attribute]:
    """The attributes of the window over height and width."""
    return {
        "kernel_shape": span.kernel[1:],
        "strides": span.strides[1:],
        "dilations": span.dilations[1:],
        "pads": flat(span.pads[1:]),
    }


def _pooled(scribe: Scribe, node: Node, span: Window) -> str:
    """Every frame pooled over height and width."""
    graph, x = scribe.graph, frames(scribe, node.inputs[0])
    if set(span.kernel[1:]) == {1} and set(span.strides[1:]) == {1} and not any(map(any, span.pads[1:])):
        return x
    batch, channels, depth, *_ = graph.shape(node.inputs[0])
    kept = {key: value for key, value in node.attributes.items() if key in ("ceil_mode", "count_include_pad")}
    attributes = {
        key: value for key, value in _across(node, span).items() if key != "dilations" or set(span.dilations[1:]) != {1}
    }
    shape = (batch * depth, channels, *span.out[1:])
    return scribe.add(node.op, [x], shape, "pooled", **kept, **attributes)


def _read(scribe: Scribe, x: str, batch: int, taps: Taps, used: Sequence[int]) -> list[str]:
    """For each slice of the kernel the frames it reads, zeros where it reads padding."""
    count, *rest = scribe.shape(x)
    read = Taps(size=taps.size, places=taps.places[list(used)])
    if batch == 1:
        return _sliced(scribe, x, read)
    if any(taps.padding):
        x = _with_zeros(scribe, x, 0, 1)
    each = np.arange(batch)[:, None] * taps.size
    found = []
    for tap, (row, inside) in enumerate(zip(read.places, read.inside, strict=True)):
        index = np.where(inside, each + row, count).reshape(-1)
        where = scribe.constant(f"places{tap}", index, "int64")
        found.append(scribe.add("Gather", [x, where], (index.size, *rest), f"read{tap}", axis=0))
    return found


def _sliced(scribe: Scribe, x: str, taps: Taps) -> list[str]:
    """The same for one picture, whose frames are all of the batch."""
    before, after = taps.padding
    x = _with_zeros(scribe, x, before, after) if before or after else x
    return [taken(scribe, x, row, 0, f"read{tap}") for tap, row in enumerate(taps.places + before)]


def _with_zeros(scribe: Scribe, x: str, before: int, after: int) -> str:
    """Frames of zeros before the first and after the last."""
    count, *rest = scribe.shape(x)
    amounts = scribe.constant("frame_pads", [before, 0, 0, 0, after, 0, 0, 0], "int64")
    return scribe.add("Pad", [x, amounts], (before + count + after, *rest), "between")


def _joined(scribe: Scribe, parts: Sequence[str]) -> str:
    """Channels behind one another."""
    if len(parts) == 1:
        return parts[0]
    count, channels, *rest = scribe.shape(parts[0])
    return scribe.add("Concat", parts, (count, channels * len(parts), *rest), "taps", axis=1)


def _summed(scribe: Scribe, parts: Sequence[str], shape: Sequence[int]) -> str:
    return reduce(lambda one, other: scribe.add("Add", [one, other], shape, "sum"), parts)


def in_frames(graph: Graph, node: Node) -> Replacement | None:
    """Whatever of a picture with a depth can be said of its frames."""
    return next((found for rule in (convolution, largest, average, *FRAME_RULES) if (found := rule(graph, node))), None)
