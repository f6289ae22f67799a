"""Products that quantize their input while they run: said as products of reals with the stored weights.

A file of dynamic quantization measures each input anew (DynamicQuantizeLinear), multiplies integers and scales the sums back. What it
approximates is a product of floats; engines that have kernels of that kind get them again from there (`--precision dynamic`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import helper

from edgekit.converters.graph_onnx import names_in
from edgekit.converters.names import free_name

MEASURED = "DynamicQuantizeLinear"
PRODUCTS: Mapping[str, str] = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}
NOTE = "{} products quantize their input while they run; they are read as products of floats with the file's own weights"


@dataclass(frozen=True, kw_only=True)
class _Product:
    """A product of integers with what surrounds it: input and output in floats, the weight with its grid."""

    node: onnx.NodeProto
    source: str
    weight: tuple[str, ...]
    end: onnx.NodeProto


def with_dynamic_unfolded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The model with each such product in floats, and a note when it had any. Products put together otherwise stay as they are."""
    products = list(_products(model.graph))
    if not products:
        return model, ()
    unfolded = onnx.ModelProto()
    unfolded.CopyFrom(model)
    taken = names_in(model)
    ends = {product.end.output[0]: product for product in products}
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    nodes = [plain for node in model.graph.node for plain in _plain(node, ends.get(node.output[0]), sizes, taken)]
    del unfolded.graph.node[:]
    unfolded.graph.node.extend(_needed(nodes, {value.name for value in model.graph.output}))
    return unfolded, (NOTE.format(len(products)),)


def _products(graph: onnx.GraphProto) -> Iterator[_Product]:
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        measured = makers.get(node.input[0]) if node.op_type in PRODUCTS and not node.domain else None
        if measured is None or measured.op_type != MEASURED:
            continue
        cast = _sole(readers, node, "Cast")
        end = _sole(readers, cast, "Mul") if cast is not None else None
        scale = _weight_scale(makers, cast, end, measured) if cast is not None and end is not None else None
        if scale is not None and end is not None:
            zero = node.input[3:4] if len(node.input) > 3 and node.input[3] else ()
            yield _Product(node=node, source=measured.input[0], weight=(node.input[1], scale, *zero), end=end)


def _sole(readers: Mapping[str, list[onnx.NodeProto]], node: onnx.NodeProto, op: str) -> onnx.NodeProto | None:
    found = readers.get(node.output[0], [])
    return found[0] if len(found) == 1 and found[0].op_type == op else None


def _weight_scale(
    makers: Mapping[str, onnx.NodeProto], cast: onnx.NodeProto, end: onnx.NodeProto, measured: onnx.NodeProto
) -> str | None:
    """The weight's scale, where the sums are multiplied by it times the input's."""
    other = next((name for name in end.input if name != cast.output[0]), "")
    both = makers.get(other)
    if both is None or both.op_type != "Mul" or measured.output[1] not in both.input:
        return None
    return next((str(name) for name in both.input if name != measured.output[1]), None)


def _plain(
    node: onnx.NodeProto, product: _Product | None, sizes: Mapping[str, tuple[int, ...]], taken: set[str]
) -> Iterator[onnx.NodeProto]:
    """The node as it is, or the product of floats that ends where it does."""
    if product is None:
        yield node
        return
    op, weight = PRODUCTS[product.node.op_type], product.weight[0]
    real = free_name(f"{weight}/real", taken)
    axis = (len(sizes.get(weight, (0, 0))) - 1) if op == "MatMul" else 0
    yield helper.make_node("DequantizeLinear", product.weight, [real], name=free_name(f"{real}/DQ", taken), axis=axis)
    plain = helper.make_node(op, [product.source, real], [node.output[0]], name=product.node.name)
    plain.attribute.extend(product.node.attribute)
    yield plain


def _needed(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes that something reads, in order: what measured the inputs is read by nothing any more."""
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted |= set(node.input)
            wanted |= {
                name for item in node.attribute for inner in (item.g, *item.graphs) for one in inner.node for name in one.input
            }
    return kept[::-1]
