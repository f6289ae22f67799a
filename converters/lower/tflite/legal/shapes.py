"""Ranks: global pools as reductions, one dimension as two, operands of one rank."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from edgekit.converters.graph import Attribute, Graph, Node
from edgekit.converters.lower.tflite.geometry import flat, window
from edgekit.converters.lower.tflite.layout import dim_groups
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
WINDOWED = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool"})
GLOBAL_POOLS = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}
BROADCASTING = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mod", "PRelu", "And", "Or", "Xor", "Where"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
    }
)


def global_pool(graph: Graph, node: Node) -> Replacement | None:
    """A global pool is a reduction over space."""
    if node.op not in GLOBAL_POOLS:
        return None
    scribe, axes = Scribe(graph, node), tuple(range(2, len(graph.shape(node.inputs[0]))))
    inputs, attributes = scribe.reduction(GLOBAL_POOLS[node.op], axes)
    return scribe.finish(GLOBAL_POOLS[node.op], [*node.inputs, *inputs], **attributes)


def one_dimension_as_two(graph: Graph, node: Node) -> Replacement | None:
    """A convolution or pool over a line is one over a picture of height 1."""
    if node.op not in WINDOWED or len(graph.shape(node.inputs[0])) != 3 or len(node.outputs) > 1:
        return None
    scribe = Scribe(graph, node)
    inputs = [_picture(scribe, node.inputs[0]), *node.inputs[1:]]
    if node.op in ("Conv", "ConvTranspose"):
        weights = graph.constants.get(node.inputs[1])
        if weights is None:
            return None
        inputs[1] = scribe.constant("weights", weights[:, :, None, :])
    out = graph.shape(node.output)
    flat = scribe.add(node.op, inputs, (*out[:2], 1, out[2]), "picture", **_two_dimensional(node))
    return scribe.finish("Reshape", [flat, scribe.constant("line", out, "int64")])


def _picture(scribe: Scribe, name: str) -> str:
    batch, channels, length = scribe.graph.shape(name)
    return scribe.view(name, (batch, channels, 1, length), "as_picture")


def _two_dimensional(node: Node) -> dict[str, Attribute]:
    attributes = dict(node.attributes)
    for name, along in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_padding", 0), ("output_shape", 1)):
        if name in attributes:
            attributes[name] = (along, *node.integers(name, ()))
    if node.text("auto_pad", "NOTSET") == "NOTSET":
        before, after = node.integers("pads", (0, 0))
        attributes["pads"] = (0, before, 0, after)
    return attributes


def three_dimensions_as_two(graph: Graph, node: Node) -> Replacement | None:
    """A pool over one or two of three dimensions, as newer exporters write a response normalisation: two of them are one line."""
    shape = graph.shape(node.inputs[0])
    if node.op not in ("MaxPool", "AveragePool") or len(shape) != 5 or len(node.outputs) > 1:
        return None
    span = window(graph, node)
    still = [extent == stride == 1 for extent, stride in zip(span.extent, span.strides, strict=True)]
    pair = next((at for at in (1, 0) if still[at] and still[at + 1]), None)
    if pair is None or not all(pads == (0, 0) for pads in span.pads[pair : pair + 2]):
        return None

    def joined(sizes: Sequence[int]) -> tuple[int, ...]:
        return (*sizes[:pair], prod(sizes[pair : pair + 2]), *sizes[pair + 2 :])

    scribe, out = Scribe(graph, node), graph.shape(node.output)
    attributes: dict[str, Attribute] = {**node.attributes, "auto_pad": "NOTSET"}
    for name, sizes in (("kernel_shape", span.kernel), ("strides", span.strides), ("dilations", span.dilations)):
        if name in attributes or name != "dilations":
            attributes[name] = joined(sizes)
    attributes["pads"] = flat((*span.pads[:pair], (0, 0), *span.pads[pair + 2 :]))
    picture = scribe.view(node.inputs[0], (*shape[:2], *joined(shape[2:])), "as_picture")
    made = scribe.add(node.op, [picture], (*out[:2], *joined(out[2:])), "picture", **attributes)
    return scribe.finish("Reshape", [made, scribe.constant("space", out, "int64")])


def same_rank(graph: Graph, node: Node) -> Replacement | None:
    """Computed operands of lower rank get the leading ones that broadcasting gives them."""
    if node.op not in BROADCASTING and node.op != "Expand":
        return None
    rank, operands = len(graph.shape(node.output)), node.inputs[:1] if node.op == "Expand" else node.inputs
    short = [name for name in dict.fromkeys(operands) if name not in graph.constants and len(graph.shape(name)) < rank]
    if not short:
        return None
    scribe = Scribe(graph, node)
    wide = {}
    for index, name in enumerate(short):
        shape = (1,) * (rank - len(graph.shape(name))) + graph.shape(name)
        wide[name] = scribe.view(name, shape, f"wide{index}")
    return scribe.again([wide.get(name, name) if name in operands else name for name in node.inputs])


def unexpanded(graph: Graph, node: Node) -> Replacement | None:
    """An operator that broadcasts reads what was expanded before it was."""
    if node.op not in BROADCASTING:
        return None
    names = list(node.inputs)
    for index, name in enumerate(names):
        expand = graph.producers.get(name)
        if expand is not None and expand.op == "Expand":
            tried = [*names[:index], expand.inputs[0], *names[index + 1 :]]
            if np.broadcast_shapes(*(graph.shape(other) for other in tried)) == graph.shape(node.output):
                names = tried
    return None if tuple(names) == node.inputs else Scribe(graph, node).again(names)


def expand_of_nothing(graph: Graph, node: Node) -> Replacement | None:
    """An Expand that repeats no element is a view."""
    shape = graph.shape(node.output) if node.op == "Expand" else ()
    if node.op != "Expand" or prod(shape) != prod(graph.shape(node.inputs[0])):
        return None
    scribe = Scribe(graph, node)
    return scribe.finish("Reshape", [node.inputs[0], scribe.constant("view", shape, "int64")])


def pixel_shuffle(graph: Graph, node: Node) -> Replacement | None:
    """DepthToSpace's CRD order is DCR after the channels have changed places."""
    if node.op != "DepthToSpace" or node.text("mode", "DCR") != "CRD":
        return None
    shape, block = graph.shape(node.inputs[0]), node.integer("blocksize", 1)
    places = np.arange(shape[1]).reshape(-1, block * block).T.reshape(-1)
    scribe = Scribe(graph, node)
    turned = scribe.add("Gather", [node.inputs[0], scribe.constant("places", places, "int64")], shape, "turned", axis=1)
    return scribe.again([turned], mode="DCR")


def view_of_view(graph: Graph, node: Node) -> Replacement | None:
    """A view of a view is one of what that views."""
    inner = graph.producers.get(node.inputs[0]) if node.op in VIEWS else None
    if inner is None or inner.op not in VIEWS or inner.inputs[0] in graph.constants:
        return None
    scribe = Scribe(graph, node)
    return scribe.finish("Reshape", [inner.inputs[0], scribe.constant("view", graph.shape(node.output), "int64")])


def turned_before_joined(graph: Graph, node: Node) -> Replacement | None:
    """Turning dims that were joined is joining dims that were turned: data that must move then move once, to where they are read."""
    view = graph.producers.get(node.inputs[0]) if node.op == "Transpose" else None
    if (
        view is None
        or view.op not in VIEWS
        or graph.sole_consumer(view.output) is not node
        or view.inputs[0] in graph.constants
    ):
        return None
    source, joined = graph.shape(view.inputs[0]), graph.shape(view.output)
    groups = {target: axes for axes, (target, *more) in dim_groups(source, joined) if not more}
    if len(groups) != len(dim_groups(source, joined)) or all(len(axes) == 1 for axes in groups.values()):
        return None
    wanted = [axis for target in node.integers("perm", tuple(reversed(range(len(joined))))) for axis in groups.get(target, ())]
    order = (*(axis for axis in range(len(source)) if axis not in wanted), *wanted)
    scribe = Scribe(graph, node)
    turned = scribe.add("Transpose", [view.inputs[0]], [source[axis] for axis in order], "turned", perm=order)
    return scribe.finish("Reshape", [turned, scribe.constant("joined", graph.shape(node.output), "int64")])


RULES: tuple[Rule, ...] = (
    turned_before_joined,
    pixel_shuffle,
    unexpanded,
    expand_of_nothing,
    global_pool,
    one_dimension_as_two,
    three_dimensions_as_two,
)
