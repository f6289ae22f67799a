"""Operators that work on each element, alone or in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.arrange import follow, innermost, shared
from edgekit.converters.lower.tflite.attributes import scalar
from edgekit.converters.lower.tflite.fuse import activation
from edgekit.converters.lower.tflite.numbers import spanning
from edgekit.converters.lower.tflite.ops.table import op
from edgekit.converters.lower.tflite.program import Option, Tensor
from edgekit.converters.lower.tflite.site import Site

FLOAT_ONLY = {
    "Exp": "EXP",
    "Log": "LOG",
    "Sqrt": "SQRT",
    "Abs": "ABS",
    "Neg": "NEG",
    "Floor": "FLOOR",
    "Ceil": "CEIL",
    "Round": "ROUND",
    "Sin": "SIN",
    "Cos": "COS",
    "Elu": "ELU",
    "Sign": "SIGN",
}
BINARY = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL"}
BINARY_FLOAT = {"Div": "DIV", "Mod": "FLOOR_MOD"}
EXTREMES = {"Max": "MAXIMUM", "Min": "MINIMUM"}


def _binary_limits(graph: Graph, node: Node) -> str | None:
    if len(node.inputs) != 2:
        return f"{len(node.inputs)} operands; 2 are known"
    computed = [name for name in node.inputs if name not in graph.constants]
    if not computed:
        return "both operands are constant"
    if any(graph.specs[name].dtype not in ("float32", "int32", "int64") for name in computed):
        return f"operands of type {graph.specs[computed[0]].dtype}"
    return None


def _float_limits(graph: Graph, node: Node) -> str | None:
    dtype = graph.specs[node.inputs[0]].dtype
    return None if dtype == "float32" else f"an operand of type {dtype}"


@op(*BINARY, arrange=shared, limits=_binary_limits)
def binary(site: Site) -> None:
    """Both operands have integers of their own, and so has the result."""
    operands = [site.read(0), site.read(1)]
    emit_sum(site, BINARY[site.node.op], operands, site.target(), site.activation)


def emit_sum(site: Site, name: str, operands: Sequence[Tensor], target: Tensor, activation: str) -> None:
    """ADD, SUB or MUL. Sums of int16 are asked for with scales as they are: by default these would have to be powers of two."""
    options: dict[str, Option] = {"fusedActivationFunction": activation}
    if target.dtype == "int16" and name != "MUL":
        options["potScaleInt16"] = False
    site.emit(name, operands, [target], **options)


def _division_limits(graph: Graph, node: Node) -> str | None:
    if node.op == "Mod" and node.integer("fmod", 0):
        return "the remainder is asked for with the sign of the dividend"
    return _binary_limits(graph, node)


@op(*BINARY_FLOAT, arrange=shared, limits=_division_limits, int8=False)
def binary_float(site: Site) -> None:
    """No int8 kernel: these stay in float."""
    site.emit(BINARY_FLOAT[site.node.op], [site.read(0), site.read(1)], [site.target()])


@op("Pow", arrange=shared, limits=_binary_limits, int8=False)
def power(site: Site) -> None:
    """Usually POW; the reciprocal root has an operator of its own, which delegates know."""
    if scalar(site.graph, site.node.inputs[1]) == -0.5:
        site.emit("RSQRT", [site.read(0)], [site.target()])
    else:
        site.emit("POW", [site.read(0), site.read(1)], [site.target()])


@op(*EXTREMES, arrange=shared, limits=_binary_limits)
def extreme(site: Site) -> None:
    """Integers are compared as they are, so both operands are brought to the output's."""
    target = site.target()
    operands = [site.read(index, like=target.params) for index in (0, 1)]
    site.emit(EXTREMES[site.node.op], operands, [target])


@op(*FLOAT_ONLY, arrange=follow, limits=_float_limits, int8=False)
def unary(site: Site) -> None:
    """No int8 kernel: these stay in float."""
    site.emit(FLOAT_ONLY[site.node.op], [site.read()], [site.target()])


def _clamp_limits(graph: Graph, node: Node) -> str | None:
    return None if activation(graph, node) else "bounds other than [0, 6] and [-1, 1] remain after legalisation"


@op("Relu", "Clip", arrange=follow, limits=_clamp_limits)
def clamp(site: Site) -> None:
    """A clamp that could not join the operator before it.

    In integers it joins the sum with zero: unlike RELU's own int8 kernels, ADD's are fast, and there is one for every clamp.
    """
    kind = activation(site.graph, site.node) or "RELU"
    x = site.read()
    if x.params is None:
        site.emit(kind, [x], [site.target()])
    else:
        zero = site.emission.converted_constant("zero", np.zeros(1, np.float32), x.params)
        emit_sum(site, "ADD", [x, zero], site.target(), kind)


@op("LeakyRelu", arrange=follow, limits=_float_limits)
def leaky_relu(site: Site) -> None:
    """max(x, alpha x)."""
    site.emit("LEAKY_RELU", [site.read()], [site.target()], alpha=site.node.number("alpha", 0.01))


def _prelu_limits(graph: Graph, node: Node) -> str | None:
    return None if node.inputs[1] in graph.constants else "its slope is computed, not constant"


@op("PRelu", arrange=shared, limits=_prelu_limits, int8=False)
def prelu(site: Site) -> None:
    """The slope has no batch dimension in TFLite."""
    x, slope = site.read(0), site.read(1)
    rest = site.emission.constant(slope.name, slope.data[0]) if slope.data is not None and slope.shape[0] == 1 else slope
    site.emit("PRELU", [x, rest], [site.target()])


@op("HardSwish", arrange=follow, limits=_float_limits)
def hard_swish(site: Site) -> None:
    """One operator in float. Its int8 kernel is slow, so there it is x * (clip(x + 3, 0, 6) / 6), whose ranges are known."""
    x = site.read()
    if not site.quantization:
        site.emit("HARD_SWISH", [x], [site.target()])
        return
    six, one = (spanning(value) for value in (6.0, 1.0))
    clipped = replace(x, name=f"{x.name};clipped", params=six)
    gate = replace(x, name=f"{x.name};gate", params=one)
    site.emit("ADD", [x, _integer(site, 3.0)], [clipped], fusedActivationFunction="RELU6")
    site.emit("MUL", [clipped, _integer(site, 1 / 6)], [gate])
    site.emit("MUL", [x, gate], [site.target()])


def _integer(site: Site, value: float) -> Tensor:
    """A positive constant as 127 with zero point -128, per tensor."""
    return site.emission.converted_constant(f"{value:.3g}", np.full(1, value, np.float32), spanning(value))


@op("Gelu", arrange=follow, limits=_float_limits, int8=False)
def gelu(site: Site) -> None:
    """Exact, or ONNX's tanh form."""
    site.emit("GELU", [site.read()], [site.target()], approximate=site.node.text("approximate", "none") == "tanh")


@op("Sigmoid", arrange=follow, limits=_float_limits)
def sigmoid(site: Site) -> None:
    """The kernel fixes the integers: probabilities in steps of 1/256."""
    site.emit("LOGISTIC", [site.read()], [site.fixed(site.target())])


@op("Tanh", arrange=follow, limits=_float_limits)
def tanh(site: Site) -> None:
    """The kernel fixes the integers: [-1, 1) in steps of 1/128."""
    site.emit("TANH", [site.read()], [site.fixed(site.target())])


@op("Softmax", arrange=innermost, limits=_float_limits)
def softmax(site: Site) -> None:
    """TFLite normalises the innermost axis; the kernel fixes the integers."""
    site.emit("SOFTMAX", [site.read()], [site.fixed(site.target())], beta=1.0)


@op("LogSoftmax", arrange=innermost, limits=_float_limits, int8=False)
def log_softmax(site: Site) -> None:
    """The logarithm of a Softmax."""
    site.emit("LOG_SOFTMAX", [site.read()], [site.target()])
