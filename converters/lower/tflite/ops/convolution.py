"""Convolutions: OIHW weights become OHWI, depthwise 1HWC."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.arrange import convolved, spatial
from edgekit.converters.lower.tflite.attributes import constant, given
from edgekit.converters.lower.tflite.geometry import group_count, window
from edgekit.converters.lower.tflite.layout import stored
from edgekit.converters.lower.tflite.ops.table import op
from edgekit.converters.lower.tflite.program import Tensor
from edgekit.converters.lower.tflite.site import Site

OHWI = (0, 2, 3, 1)
DEPTHWISE = (1, 2, 3, 0)
TRANSPOSED = (1, 2, 3, 0)


def _constant_weights(graph: Graph, node: Node) -> str | None:
    if constant(graph, node, 1) is None:
        return "its weights are computed, not constant"
    if given(node, 2) and constant(graph, node, 2) is None:
        return "its bias is computed, not constant"
    return None


def _conv_limits(graph: Graph, node: Node) -> str | None:
    rank = len(graph.shape(node.inputs[0]))
    if rank != 4:
        return f"a convolution over {rank - 2} dimensions; 1 and 2 are known"
    if not (window(graph, node).valid or window(graph, node).same):
        return "its padding is neither SAME nor none"
    return _constant_weights(graph, node)


@op("Conv", arrange=convolved, limits=_conv_limits)
def conv(site: Site) -> None:
    """Padding is SAME or VALID after legalisation; a group per input channel is a depthwise convolution."""
    span = window(site.graph, site.node)
    channels, groups = site.shape()[1], group_count(site.node)
    options = {
        "padding": "VALID" if span.valid else "SAME",
        "strideH": span.strides[0],
        "strideW": span.strides[1],
        "dilationHFactor": span.dilations[0],
        "dilationWFactor": span.dilations[1],
        "fusedActivationFunction": site.activation,
    }
    x = site.read()
    if groups == channels and groups > 1:
        multiplier = site.shape(1)[0] // groups
        inputs = [x, *site.weights(DEPTHWISE, x)]
        site.emit("DEPTHWISE_CONV_2D", inputs, [site.target()], depthMultiplier=multiplier, **options)
    else:
        site.emit("CONV_2D", [x, *site.weights(OHWI, x)], [site.target()], **options)


def _transposed_limits(graph: Graph, node: Node) -> str | None:
    if len(graph.shape(node.inputs[0])) != 4:
        return "a transposed convolution over other than 2 dimensions"
    if any(d != 1 for d in node.integers("dilations", (1, 1))):
        return "dilated transposed convolution"
    if group_count(node) != 1:
        return "grouped transposed convolution"
    if any(
        a + n > f for (a, _), n, f in zip(_crops(graph, node), graph.shape(node.output)[2:], _full(graph, node), strict=True)
    ):
        return "its output_padding reaches beyond the last window"
    return _constant_weights(graph, node)


def _full(graph: Graph, node: Node) -> tuple[int, ...]:
    """The size before cropping: every input element spread over a whole kernel."""
    size, kernel = graph.shape(node.inputs[0])[2:], graph.shape(node.inputs[1])[2:]
    return tuple((n - 1) * s + k for n, s, k in zip(size, node.integers("strides", (1, 1)), kernel, strict=True))


def _crops(graph: Graph, node: Node) -> tuple[tuple[int, int], ...]:
    """What padding cuts off before and after each dimension."""
    pads = node.integers("pads", (0, 0, 0, 0))
    out = graph.shape(node.output)[2:]
    return tuple((before, full - n - before) for before, full, n in zip(pads[:2], _full(graph, node), out, strict=True))


@op("ConvTranspose", arrange=spatial, limits=_transposed_limits)
def conv_transpose(site: Site) -> None:
    """SAME when it cuts what the pads cut; else everything, and a SLICE."""
    graph, node = site.graph, site.node
    strides, crops = node.integers("strides", (1, 1)), _crops(graph, node)
    x = site.read()
    weights, bias = site.weights(TRANSPOSED, x, channel=1)
    target = site.target()
    options = {"strideH": strides[0], "strideW": strides[1]}
    cut = any(map(any, crops))
    if not cut or _is_same(site, strides, crops):
        inputs = [site.ints("output_shape", target.shape), weights, x, bias]
        site.emit("TRANSPOSE_CONV", inputs, [target], padding="SAME" if cut else "VALID", **options)
        return
    shape = stored((*graph.shape(node.output)[:2], *_full(graph, node)), site.layout())
    whole = Tensor(name=f"{target.name};whole", shape=shape, dtype=target.dtype, params=target.params)
    site.emit("TRANSPOSE_CONV", [site.ints("output_shape", shape), weights, x, bias], [whole], padding="VALID", **options)
    begin = site.ints("begin", (0, *(before for before, _ in crops), 0))
    site.emit("SLICE", [whole, begin, site.ints("size", target.shape)], [target])


def _is_same(site: Site, strides: tuple[int, ...], crops: tuple[tuple[int, int], ...]) -> bool:
    """Whether TFLite, given only the output's shape, cuts just these crops."""
    sizes = zip(site.shape()[2:], site.graph.shape(site.node.output)[2:], strides, strict=True)
    return all(n == -(-out // s) for n, out, s in sizes) and all(a == (a + b) // 2 and b >= 0 for a, b in crops)
