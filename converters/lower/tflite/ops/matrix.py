"""Matrix products."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.arrange import meets_one_matrix, plain, products
from edgekit.converters.lower.tflite.layout import identity, stored
from edgekit.converters.lower.tflite.ops.table import op
from edgekit.converters.lower.tflite.program import Tensor
from edgekit.converters.lower.tflite.site import Site


def _gemm_limits(graph: Graph, node: Node) -> str | None:
    normal = (node.number("transA", 0), node.number("transB", 0), node.number("alpha", 1.0), node.number("beta", 1.0))
    if node.inputs[1] not in graph.constants or normal != (0, 1, 1.0, 1.0):
        return "not in the form x * constant^T + constant"
    return None


PACKED_LIMIT_BYTES = 2 << 20
"""What copies of one matrix may take. XNNPACK packs the weights of every layer for itself, and the steps of a recurrent layer share
theirs: 100 steps of an LSTM of 256 would take 100 MB and, for want of cache, five times as long (measured in LiteRT 2.3)."""


def _is_packed_too_often(site: Site, weights: Tensor) -> bool:
    """Whether so many layers read floats that they had better stay one constant. (Integers take a quarter, and gain by packing.)"""
    readers = len(site.graph.consumers[site.node.inputs[1]])
    data = weights.data
    return data is not None and data.dtype == "float32" and readers > 1 and readers * data.nbytes > PACKED_LIMIT_BYTES


@op("Gemm", arrange=plain, limits=_gemm_limits)
def gemm(site: Site) -> None:
    """A fully connected layer. Several rows are read and written in whatever stack they stand."""
    x = site.rows()
    weights, bias = site.weights((0, 1), x)
    if _is_packed_too_often(site, weights):
        weights = site.emission.by_reference(weights)
    target = site.target(shape=(*x.shape[:-1], weights.shape[0]))
    site.emit(
        "FULLY_CONNECTED",
        [x, weights, bias],
        [target],
        fusedActivationFunction=site.activation,
        keepNumDims=len(x.shape) > 2,
    )


def _matmul_limits(graph: Graph, node: Node) -> str | None:
    ranks = [len(graph.shape(name)) for name in node.inputs]
    if node.inputs[0] in graph.constants and node.inputs[1] in graph.constants:
        return "both operands are constant"
    return None if min(ranks) >= 2 and max(ranks) <= 5 else f"operands of rank {ranks[0]} and {ranks[1]}"


@op("MatMul", arrange=products, limits=_matmul_limits)
def matmul(site: Site) -> None:
    """A batched product; an operand whose last two dims stand the other way round in memory is read as it is."""
    turned = {key: site.layout(index)[-1:] != (len(site.layout(index)) - 1,) for index, key in enumerate(("adjX", "adjY"))}
    scattered = prod(site.shape()[:-2]) > 1 or site.layout() != identity(len(site.shape()))
    if scattered and not turned["adjX"] and meets_one_matrix(site.graph, site.node):
        _rows_by_one_matrix(site, turned)
        return
    site.emit("BATCH_MATMUL", [site.read(0), site.read(1)], [site.target()], **turned)


def _rows_by_one_matrix(site: Site, turned: Mapping[str, bool]) -> None:
    """One product of all rows, in whatever order they stand."""
    (*batch, width), matrix = site.shape(), stored(site.shape(1), site.layout(1))[-2:]
    first, second = site.elements(0, (1, prod(batch), width)), site.elements(1, (1, *matrix))
    target = site.target(shape=(1, prod(batch), site.graph.shape(site.node.output)[-1]))
    site.emit("BATCH_MATMUL", [first, second], [target], **turned)
