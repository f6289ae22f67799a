"""Padding of pools, where zeros are not always right."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.attributes import given, scalar
from edgekit.converters.lower.tflite.geometry import Window, window
from edgekit.converters.lower.tflite.legal.padding import NONE, padded, with_pads
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe
from edgekit.converters.lower.tflite.legal.taps import largest_of, taken, taps_of

NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "Softmax", "Abs", "Exp", "Sqrt", "HardSigmoid"})
KEEPS_SIGN = frozenset(
    {"MaxPool", "AveragePool", "Concat", "Slice", "Split", "Transpose", "Reshape", "Resize", "Identity", "ReduceMean", "Pad"}
)


def max_pool(graph: Graph, node: Node) -> Replacement | None:
    """Zeros around what is never negative do not win; elsewhere the pads stay and the emitter pads with the lowest value."""
    if node.op != "MaxPool" or len(graph.shape(node.inputs[0])) != 4 or len(node.outputs) > 1:
        return None
    span, scribe = window(graph, node), Scribe(graph, node)
    if span.valid or span.same or not never_negative(graph, node.inputs[0]):
        return with_pads(scribe, span.used_pads)
    ceil = {"ceil_mode": 0} if "ceil_mode" in node.attributes else {}
    return scribe.again([padded(scribe, node.inputs[0], span.used_pads)], pads=NONE, auto_pad="NOTSET", **ceil)


def dilated_max_pool(graph: Graph, node: Node) -> Replacement | None:
    """A maximum with gaps: that of rows apart, then that of columns apart."""
    if node.op != "MaxPool" or len(graph.shape(node.inputs[0])) != 4 or len([name for name in node.outputs if name]) > 1:
        return None
    span, scribe, x = window(graph, node), Scribe(graph, node), node.inputs[0]
    taps = [taps_of(span, axis) for axis in (0, 1)]
    if set(span.dilations) == {1} or not all(one.inside.any(axis=0).all() for one in taps):
        return None
    for axis, one in enumerate(taps, start=2):
        x = largest_of(scribe, [taken(scribe, x, row, axis, f"tap{axis}_{at}") for at, row in enumerate(one.within.places)])
    return scribe.result(x)


def never_negative(graph: Graph, name: str) -> bool:
    """Whether a tensor's elements are known to be 0 or more from the operator that made them."""
    value, node = graph.constants.get(name), graph.producers.get(name)
    if value is not None:
        return bool(np.all(value >= 0))
    if node is None:
        return False
    if node.op == "Clip":
        low = scalar(graph, given(node, 1))
        return low is not None and low >= 0
    if node.op not in KEEPS_SIGN:
        return node.op in NEVER_NEGATIVE
    floats = [item for item in node.inputs if item and graph.specs[item].dtype.startswith("float")]
    return all(never_negative(graph, item) for item in floats)


def average_pool(graph: Graph, node: Node) -> Replacement | None:
    """Zeros are padded; where a window holds others than a whole kernel of counted elements, the mean is put right."""
    if node.op != "AveragePool" or len(graph.shape(node.inputs[0])) != 4:
        return None
    span, scribe = window(graph, node), Scribe(graph, node)
    if any(step != 1 for step in span.dilations):
        return None
    counted = bool(node.integer("count_include_pad", 0))
    share = _share(span, counted)
    if (span.valid and np.all(share == 1)) or (span.same and not counted):
        return with_pads(scribe, span.used_pads)
    x = padded(scribe, node.inputs[0], span.used_pads)
    plain = {"kernel_shape": span.kernel, "strides": span.strides, "pads": NONE}
    if np.all(share == 1):
        return scribe.finish("AveragePool", [x], **plain)
    mean = scribe.add("AveragePool", [x], graph.shape(node.output), "mean", **plain)
    return scribe.finish("Mul", [mean, scribe.constant("share", share)])


def _share(span: Window, counted: bool) -> Array:
    """Kernel size over the number of elements that count in each window, [1, 1, height, width]."""
    rows, columns = (_counting(span, axis, counted) for axis in (0, 1))
    counts = rows[:, None] * columns[None, :]
    return (span.kernel[0] * span.kernel[1] / counts)[None, None]


def _counting(span: Window, axis: int, counted: bool) -> Array:
    """How many elements of each window count along an axis: those of the input, and its declared pads when they are counted."""
    before, after = span.pads[axis] if counted else (0, 0)
    start = np.arange(span.out[axis]) * span.strides[axis] - span.pads[axis][0]
    return np.minimum(start + span.extent[axis], span.size[axis] + after) - np.maximum(start, -before)


RULES: tuple[Rule, ...] = (dilated_max_pool, max_pool, average_pool)
