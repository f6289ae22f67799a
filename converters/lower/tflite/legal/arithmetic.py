"""Arithmetic in the operators that TFLite has."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.attributes import constant, given, scalar
from edgekit.converters.lower.tflite.fuse import activation
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

INT32, INT64 = 6, 7
"""Element types by their number in ONNX."""


def divide_by_constant(graph: Graph, node: Node) -> Replacement | None:
    """x / c is x * (1 / c)."""
    value = constant(graph, node, 1) if node.op == "Div" else None
    if value is None or value.dtype != np.float32 or np.any(value == 0) or node.inputs[0] in graph.constants:
        return None
    scribe = Scribe(graph, node)
    return scribe.finish("Mul", [node.inputs[0], scribe.constant("reciprocal", 1.0 / value.astype(np.float64))])


def power(graph: Graph, node: Node) -> Replacement | None:
    """x ** 2 is x * x, x ** 0.5 is the square root."""
    exponent = scalar(graph, node.inputs[1]) if node.op == "Pow" else None
    if exponent is None or graph.shape(node.output) != graph.shape(node.inputs[0]):
        return None
    x = node.inputs[0]
    if exponent == 2:
        return Scribe(graph, node).finish("Mul", [x, x])
    return Scribe(graph, node).finish("Sqrt", [x]) if exponent == 0.5 else None


def whole_division(graph: Graph, node: Node) -> Replacement | None:
    """Integers of 64 bits are divided as those of 32, which TFLite has a kernel for."""
    if node.op != "Div" or graph.specs[node.output].dtype != "int64":
        return None
    scribe = Scribe(graph, node)
    narrow = [
        scribe.constant(f"operand{index}", value, "int32")
        if (value := graph.constants.get(name)) is not None
        else scribe.add_as("int32", "Cast", [name], graph.shape(name), f"narrow{index}", to=INT32)
        for index, name in enumerate(node.inputs)
    ]
    return scribe.finish("Cast", [scribe.add_as("int32", "Div", narrow, graph.shape(node.output), "quotient")], to=INT64)


def mean(graph: Graph, node: Node) -> Replacement | None:
    """The mean of several tensors is their sum times a constant."""
    if node.op != "Mean":
        return None
    scribe, shape = Scribe(graph, node), graph.shape(node.output)
    total = scribe.add("Sum", node.inputs, shape, "sum")
    return scribe.finish("Mul", [total, scribe.constant("share", 1 / len(node.inputs))])


def variadic(graph: Graph, node: Node) -> Replacement | None:
    """Max, Min and Sum of several are taken two at a time; of one they are the operand."""
    if node.op not in ("Max", "Min", "Sum") or (len(node.inputs) == 2 and node.op != "Sum"):
        return None
    op = {"Sum": "Add"}.get(node.op, node.op)
    scribe, so_far = Scribe(graph, node), node.inputs[0]
    if len(node.inputs) == 1:
        return scribe.finish("Identity", node.inputs)
    for index, name in enumerate(node.inputs[1:-1]):
        shape = np.broadcast_shapes(scribe.shape(so_far), graph.shape(name))
        so_far = scribe.add(op, [so_far, name], shape, f"{op.lower()}{index}")
    return scribe.finish(op, [so_far, node.inputs[-1]])


def batch_normalization(graph: Graph, node: Node) -> Replacement | None:
    """What could not be folded into a convolution is a product and a sum per channel."""
    values = [constant(graph, node, index) for index in range(1, 5)] if node.op == "BatchNormalization" else []
    if node.integer("training_mode", 0) or any(node.outputs[1:]) or not values or any(value is None for value in values):
        return None
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in values)
    factor = gamma / np.sqrt(variance + node.number("epsilon", 1e-5))
    shape = graph.shape(node.output)
    column = (-1, *(1,) * (len(shape) - 2))
    scribe = Scribe(graph, node)
    product = scribe.add("Mul", [node.inputs[0], scribe.constant("factor", factor.reshape(column))], shape, "scaled")
    return scribe.finish("Add", [product, scribe.constant("shift", (beta - mean * factor).reshape(column))])


def hard_sigmoid(graph: Graph, node: Node) -> Replacement | None:
    """clip(a x + b, 0, 1) is clip(6 a x + 6 b, 0, 6) / 6: a sum that ends in RELU6, and a product."""
    if node.op != "HardSigmoid":
        return None
    slope, offset = 6 * node.number("alpha", 0.2), 6 * node.number("beta", 0.5)
    return _hard_sigmoid(Scribe(graph, node), node.inputs[0], slope, offset, last="")


def hard_swish(graph: Graph, node: Node) -> Replacement | None:
    """x * clip(x + 3, 0, 6) / 6, for engines without HARD_SWISH."""
    if node.op != "HardSwish":
        return None
    return _hard_sigmoid(Scribe(graph, node), node.inputs[0], 1.0, 3.0, last=node.inputs[0])


def _hard_sigmoid(scribe: Scribe, x: str, slope: float, offset: float, *, last: str) -> Replacement:
    """clip(slope x + offset, 0, 6) / 6, times `last` when that is given."""
    shape = scribe.graph.shape(x)
    if not np.isclose(slope, 1.0, rtol=1e-6):
        x = scribe.add("Mul", [x, scribe.constant("slope", slope)], shape, "sloped")
    total = scribe.add("Add", [x, scribe.constant("offset", offset)], shape, "moved")
    bounds = [scribe.constant("low", 0.0), scribe.constant("high", 6.0)]
    clipped = scribe.add("Clip", [total, *bounds], shape, "clipped")
    sixth = scribe.constant("sixth", 1 / 6)
    if not last:
        return scribe.finish("Mul", [clipped, sixth])
    return scribe.finish("Mul", [scribe.add("Mul", [clipped, sixth], shape, "gate"), last])


def clip(graph: Graph, node: Node) -> Replacement | None:
    """Clamps that are no activation: from below by Max (Relu at 0), from above by Min."""
    if node.op != "Clip" or activation(graph, node):
        return None
    scribe, low, high = Scribe(graph, node), given(node, 1), given(node, 2)
    if not (low or high):
        return scribe.finish("Identity", node.inputs[:1])
    lower = ("Relu", [node.inputs[0]]) if low and scalar(graph, low) == 0 else ("Max", [node.inputs[0], low])
    if not high or scalar(graph, high) == float(np.finfo(np.float32).max):
        return scribe.finish(*lower)
    floored = scribe.add(*lower, graph.shape(node.output), "floored") if low else node.inputs[0]
    return scribe.finish("Min", [floored, high])


def leaky_relu(graph: Graph, node: Node) -> Replacement | None:
    """max(x, a x), for engines without LEAKY_RELU; holds for slopes up to 1."""
    slope = node.number("alpha", 0.01) if node.op == "LeakyRelu" else 2.0
    if slope > 1:
        return None
    scribe = Scribe(graph, node)
    sloped = scribe.add("Mul", [node.inputs[0], scribe.constant("slope", slope)], graph.shape(node.output), "sloped")
    return scribe.finish("Max", [node.inputs[0], sloped])


RULES: tuple[Rule, ...] = (divide_by_constant, whole_division, power, mean, variadic, batch_normalization, hard_sigmoid, clip)
EDGETPU_RULES: tuple[Rule, ...] = (hard_swish, leaky_relu)
