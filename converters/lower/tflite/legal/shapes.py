"""Ranks: global pools as reductions, one dimension as two, operands of one rank."""

from __future__ import annotations

from edgekit.converters.graph import Attribute, Graph, Node
from edgekit.converters.lower.tflite.attributes import ints, text
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

GLOBAL_POOLS = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}
AXES_AS_INPUT = 18
BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu"})


def global_pool(graph: Graph, node: Node) -> Replacement | None:
    """A global pool is a reduction over space."""
    if node.op not in GLOBAL_POOLS:
        return None
    scribe, axes = Scribe(graph, node), tuple(range(2, len(graph.shape(node.inputs[0]))))
    if graph.opset < AXES_AS_INPUT:
        return scribe.finish(GLOBAL_POOLS[node.op], node.inputs, axes=axes, keepdims=1)
    return scribe.finish(GLOBAL_POOLS[node.op], [*node.inputs, scribe.constant("axes", axes, "int64")], keepdims=1)


def one_dimension_as_two(graph: Graph, node: Node) -> Replacement | None:
    """A convolution or pool over a line is one over a picture of height 1."""
    if node.op not in ("Conv", "MaxPool", "AveragePool") or len(graph.shape(node.inputs[0])) != 3 or len(node.outputs) > 1:
        return None
    scribe = Scribe(graph, node)
    inputs = [_picture(scribe, node.inputs[0]), *node.inputs[1:]]
    if node.op == "Conv":
        weights = graph.constants.get(node.inputs[1])
        if weights is None:
            return None
        inputs[1] = scribe.constant("weights", weights[:, :, None, :])
    out = graph.shape(node.output)
    flat = scribe.add(node.op, inputs, (*out[:2], 1, out[2]), "picture", **_two_dimensional(node))
    return scribe.finish("Reshape", [flat, scribe.constant("line", out, "int64")])


def _picture(scribe: Scribe, name: str) -> str:
    batch, channels, length = scribe.graph.shape(name)
    shape = (batch, channels, 1, length)
    return scribe.add("Reshape", [name, scribe.constant("shape", shape, "int64")], shape, "as_picture")


def _two_dimensional(node: Node) -> dict[str, Attribute]:
    attributes = dict(node.attributes)
    for name in ("kernel_shape", "strides", "dilations"):
        if name in attributes:
            attributes[name] = (1, *ints(node, name, ()))
    if text(node, "auto_pad", "NOTSET") == "NOTSET":
        before, after = ints(node, "pads", (0, 0))
        attributes["pads"] = (0, before, 0, after)
    return attributes


def same_rank(graph: Graph, node: Node) -> Replacement | None:
    """Computed operands of lower rank get the leading ones that broadcasting gives them."""
    if node.op not in BINARY:
        return None
    rank = len(graph.shape(node.output))
    short = [name for name in dict.fromkeys(node.inputs) if name not in graph.constants and len(graph.shape(name)) < rank]
    if not short:
        return None
    scribe = Scribe(graph, node)
    wide = {}
    for index, name in enumerate(short):
        shape = (1,) * (rank - len(graph.shape(name))) + graph.shape(name)
        wide[name] = scribe.add("Reshape", [name, scribe.constant(f"shape{index}", shape, "int64")], shape, f"wide{index}")
    return scribe.again([wide.get(name, name) for name in node.inputs])


RULES: tuple[Rule, ...] = (global_pool, one_dimension_as_two)
