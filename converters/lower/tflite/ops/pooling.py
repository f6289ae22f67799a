"""Pools. The legalised graph pads them with zeros where that is right, so here padding is SAME, none, or the lowest value."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.arrange import spatial
from edgekit.converters.lower.tflite.geometry import Window, window
from edgekit.converters.lower.tflite.ops.table import op
from edgekit.converters.lower.tflite.program import Option, Tensor
from edgekit.converters.lower.tflite.site import Site

LOWEST = {"float32": np.finfo(np.float32).min, "int8": -128, "int16": -32768}


def _options(span: Window) -> dict[str, Option]:
    return {
        "padding": "SAME" if span.same and not span.valid else "VALID",
        "strideH": span.strides[0],
        "strideW": span.strides[1],
        "filterHeight": span.kernel[0],
        "filterWidth": span.kernel[1],
    }


def _limits(graph: Graph, node: Node) -> str | None:
    if len(graph.shape(node.inputs[0])) != 4:
        return "a pool over other than 2 dimensions"
    if len([name for name in node.outputs if name]) > 1:
        return "the indices of the maxima are asked for"
    span = window(graph, node)
    if any(d != 1 for d in span.dilations):
        return "dilated pool"
    if node.op == "AveragePool" and not (span.same or span.valid):
        return "its padding is neither SAME nor none"
    return None


@op("MaxPool", arrange=spatial, limits=_limits)
def max_pool(site: Site) -> None:
    """Padding that is not SAME is done by the lowest value there is, as integers the least of their type, which never wins."""
    span = window(site.graph, site.node)
    x = site.read()
    if not (span.valid or span.same):
        x = _padded_with_lowest(site, x, span)
    site.emit("MAX_POOL_2D", [x], [site.target(like=x)], **_options(span))


def _padded_with_lowest(site: Site, x: Tensor, span: Window) -> Tensor:
    pads = np.asarray([(0, 0), *span.used_pads, (0, 0)], np.int32)
    shape = tuple(size + int(extra) for size, extra in zip(x.shape, pads.sum(axis=1), strict=True))
    result = Tensor(name=f"{x.name};padded", shape=shape, dtype=x.dtype, params=x.params)
    lowest = site.emission.constant("lowest", np.array([LOWEST[x.dtype]], x.dtype), x.params)
    site.emit("PADV2", [x, site.emission.constant("pads", pads), lowest], [result])
    return result


@op("AveragePool", arrange=spatial, limits=_limits)
def average_pool(site: Site) -> None:
    """TFLite's SAME leaves the padding out of the mean, as ONNX does by default."""
    x = site.read()
    site.emit("AVERAGE_POOL_2D", [x], [site.target(like=x)], **_options(window(site.graph, site.node)))
