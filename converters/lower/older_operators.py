"""Newer operators said in older ones: one function each, which draws on a `Sketch` or returns why it cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from edgekit.converters.lower.sketch import Sketch

Rewrite = Callable[[Sketch], str]
"""Draws the node in older operators; returns the empty string, or why this node cannot be said in them."""


def _layer_normalization(sketch: Sketch) -> str:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last dimensions (ONNX LayerNormalization-17)."""
    node = sketch.node
    if any(node.outputs[1:]):
        return "its mean or deviation is read"
    rank = len(sketch.graph.shape(node.inputs[0]))
    axes = tuple(range(node.integer("axis", -1) % rank, rank))
    centred = sketch.draw("Sub", [node.inputs[0], sketch.mean(node.inputs[0], axes)])
    variance = sketch.mean(sketch.draw("Mul", [centred, centred]), axes)
    deviation = sketch.draw("Sqrt", [sketch.draw("Add", [variance, sketch.number(node.number("epsilon", 1e-5))])])
    return _scaled(sketch, sketch.draw("Div", [centred, deviation]))


def _rms_normalization(sketch: Sketch) -> str:
    """x / sqrt(mean(x^2) + epsilon) * scale (ONNX RMSNormalization-23)."""
    node = sketch.node
    rank = len(sketch.graph.shape(node.inputs[0]))
    axes = tuple(range(node.integer("axis", -1) % rank, rank))
    square = sketch.mean(sketch.draw("Mul", [node.inputs[0], node.inputs[0]]), axes)
    root = sketch.draw("Sqrt", [sketch.draw("Add", [square, sketch.number(node.number("epsilon", 1e-5))])])
    return _scaled(sketch, sketch.draw("Div", [node.inputs[0], root]))


def _scaled(sketch: Sketch, normal: str) -> str:
    """`normal` times the node's scale, plus its bias where it has one."""
    _, scale, bias = (*sketch.node.inputs, "")[:3]
    if not bias:
        sketch.finish("Mul", [normal, scale])
    else:
        sketch.finish("Add", [sketch.draw("Mul", [normal, scale]), bias])
    return ""


def _group_normalization(sketch: Sketch) -> str:
    """Instance normalization of the groups, then scale and bias per channel (ONNX GroupNormalization-18: per group)."""
    graph, node = sketch.graph, sketch.node
    data, scale, bias = node.inputs[:3]
    shape, groups = graph.shape(data), node.integer("num_groups", 1)
    if scale not in graph.constants or bias not in graph.constants:
        return "its scale or bias is computed"
    grouped = (shape[0], groups, math.prod(shape[1:]) // groups)
    folded = sketch.draw("Reshape", [data, sketch.constant(np.array(grouped, np.int64))], grouped)
    ones, zeros = sketch.constant(np.ones(groups, np.float32)), sketch.constant(np.zeros(groups, np.float32))
    normal = sketch.draw("InstanceNormalization", [folded, ones, zeros], epsilon=node.number("epsilon", 1e-5))
    unfolded = sketch.draw("Reshape", [normal, sketch.constant(np.array(shape, np.int64))], shape)
    per_channel = [graph.constants[name].repeat(shape[1] // graph.constants[name].size) for name in (scale, bias)]
    factors = [sketch.constant(value.reshape(-1, *[1] * (len(shape) - 2))) for value in per_channel]
    sketch.finish("Add", [sketch.draw("Mul", [unfolded, factors[0]]), factors[1]])
    return ""


def _hard_swish(sketch: Sketch) -> str:
    data = sketch.node.inputs[0]
    sketch.finish("Mul", [data, sketch.draw("HardSigmoid", [data], alpha=1 / 6, beta=0.5)])
    return ""


def _mish(sketch: Sketch) -> str:
    data = sketch.node.inputs[0]
    sketch.finish("Mul", [data, sketch.draw("Tanh", [sketch.draw("Softplus", [data])])])
    return ""


def _gelu(sketch: Sketch) -> str:
    """x / 2 * (1 + erf(x / sqrt 2)), or the tanh form where the model was trained with that."""
    data = sketch.node.inputs[0]
    if sketch.node.text("approximate", "none") == "tanh":
        cube = sketch.draw("Mul", [sketch.draw("Mul", [data, data]), sketch.draw("Mul", [data, sketch.number(0.044715)])])
        inner = sketch.draw("Mul", [sketch.draw("Add", [data, cube]), sketch.number(math.sqrt(2 / math.pi))])
        gate = sketch.draw("Tanh", [inner])
    else:
        gate = sketch.draw("Erf", [sketch.draw("Mul", [data, sketch.number(math.sqrt(0.5))])])
    half = sketch.draw("Mul", [data, sketch.number(0.5)])
    sketch.finish("Mul", [half, sketch.draw("Add", [gate, sketch.number(1.0)])])
    return ""


def _reciprocal(sketch: Sketch) -> str:
    sketch.finish("Div", [sketch.number(1.0), sketch.node.inputs[0]])
    return ""


def _reduce(sketch: Sketch) -> str:
    """Axes that are an input become an attribute."""
    graph, node = sketch.graph, sketch.node
    axes = node.inputs[1] if len(node.inputs) > 1 else ""
    if axes and axes not in graph.constants:
        return "its axes are computed"
    listed = tuple(int(axis) for axis in graph.constants[axes].reshape(-1)) if axes else ()
    if not listed and node.integer("noop_with_empty_axes", 0):
        sketch.finish("Identity", node.inputs[:1])
        return ""
    sketch.finish(node.op, node.inputs[:1], keepdims=node.integer("keepdims", 1), **({"axes": listed} if listed else {}))
    return ""


def _split(sketch: Sketch) -> str:
    """A number of outputs becomes their sizes."""
    node, axis = sketch.node, sketch.node.integer("axis", 0)
    sizes = [sketch.graph.shape(name)[axis] for name in node.outputs if name]
    if len(sizes) < len(node.outputs):
        return "one of its outputs is left out"
    sketch.finish("Split", [node.inputs[0], sketch.constant(np.array(sizes, np.int64))], axis=axis)
    return ""


def _pad(sketch: Sketch) -> str:
    """Pads of some axes become pads of all."""
    graph, node = sketch.graph, sketch.node
    data, pads, fill, axes = (*node.inputs, "", "")[:4]
    if pads not in graph.constants or (axes and axes not in graph.constants):
        return "its pads or axes are computed"
    rank, amounts = len(graph.shape(data)), graph.constants[pads].reshape(2, -1)
    full = np.zeros((2, rank), np.int64)
    full[:, [int(axis) % rank for axis in graph.constants[axes]] if axes else slice(None)] = amounts
    inputs = [data, sketch.constant(full.reshape(-1)), *([fill] if fill else [])]
    sketch.finish("Pad", inputs, mode=node.text("mode", "constant"))
    return ""


def _resize(sketch: Sketch) -> str:
    """Scales of some axes become scales of all; sizes are the output's."""
    graph, node = sketch.graph, sketch.node
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch" or node.integer("antialias", 0):
        return "it keeps the aspect ratio or smooths what it shrinks"
    data, _, scales, sizes = (*node.inputs, "", "", "")[:4]
    rank = len(graph.shape(data))
    axes = [axis % rank for axis in node.integers("axes", tuple(range(rank)))]
    known = {key: value for key, value in node.attributes.items() if key in RESIZE_13}
    if sizes:
        sketch.finish("Resize", [data, "", "", sketch.constant(np.array(graph.shape(node.output), np.int64))], **known)
        return ""
    if scales not in graph.constants:
        return "its scales are computed"
    full = np.ones(rank, np.float32)
    full[axes] = graph.constants[scales]
    sketch.finish("Resize", [data, "", sketch.constant(full)], **known)
    return ""


def _reshape(sketch: Sketch) -> str:
    """A zero that means zero: the shape is known, so it is written out."""
    shape = sketch.graph.shape(sketch.node.output)
    if 0 in shape:
        return f"its output {list(shape)} is empty"
    sketch.finish("Reshape", [sketch.node.inputs[0], sketch.constant(np.array(shape, np.int64))])
    return ""


def _grid_sample(sketch: Sketch) -> str:
    """The modes were renamed in operator set 20."""
    node = sketch.node
    mode = node.text("mode", "linear")
    old = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    sketch.nodes.append(replace(node, attributes={**node.attributes, "mode": old}))
    return ""


RESIZE_13 = frozenset(
    {
        *("coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside"),
        *("extrapolation_value", "mode", "nearest_mode"),
    }
)
REWRITES: Mapping[str, Rewrite] = {
    "Gelu": _gelu,
    "GridSample": _grid_sample,
    "GroupNormalization": _group_normalization,
    "HardSwish": _hard_swish,
    "LayerNormalization": _layer_normalization,
    "Mish": _mish,
    "Pad": _pad,
    "RMSNormalization": _rms_normalization,
    "Reciprocal": _reciprocal,
    "Reshape": _reshape,
    "Resize": _resize,
    "Split": _split,
    **dict.fromkeys(
        (
            *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
            *("ReduceProd", "ReduceSumSquare"),
        ),
        _reduce,
    ),
}
"""By operator."""
