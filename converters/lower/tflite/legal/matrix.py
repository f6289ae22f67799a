"""Gemm and MatMul in the one form that FULLY_CONNECTED takes: x * constant^T + constant."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.attributes import constant, given
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

NORMAL = {"transA": 0, "transB": 1, "alpha": 1.0, "beta": 1.0}


def gemm(graph: Graph, node: Node) -> Replacement | None:
    """Transposes and factors go into the constants; a computed matrix becomes MatMul, a computed addend Add."""
    if node.op != "Gemm":
        return None
    bias_name = given(node, 2)
    weights, bias = constant(graph, node, 1), constant(graph, node, 2)
    columns = graph.shape(node.output)[1]
    if weights is not None and (not bias_name or (bias is not None and _is_row(bias, columns))):
        return None if _is_normal(node, bias, columns) else _folded(graph, node, weights, bias)
    return _taken_apart(graph, node, bias_name)


def _is_row(bias: Array, columns: int) -> bool:
    """Whether an addend is the same for every row."""
    return bias.size == 1 or (bias.size == columns and bias.shape[-1] == columns)


def _is_normal(node: Node, bias: Array | None, columns: int) -> bool:
    found = {name: node.number(name, 1 if name in ("alpha", "beta") else 0) for name in NORMAL}
    return found == NORMAL and (bias is None or bias.shape == (columns,))


def _folded(graph: Graph, node: Node, weights: Array, bias: Array | None) -> Replacement:
    scribe, x = Scribe(graph, node), node.inputs[0]
    if node.number("transA", 0):
        x = scribe.add("Transpose", [x], graph.shape(x)[::-1], "transposed", perm=(1, 0))
    matrix = weights if node.number("transB", 0) else weights.T
    inputs = [x, scribe.constant("weights", matrix * np.float32(node.number("alpha", 1.0)))]
    if bias is not None:
        row = np.broadcast_to(bias.reshape(-1) * np.float32(node.number("beta", 1.0)), graph.shape(node.output)[1:])
        inputs.append(scribe.constant("bias", row))
    return scribe.finish("Gemm", inputs, **NORMAL)


def _taken_apart(graph: Graph, node: Node, bias_name: str) -> Replacement:
    """alpha * A B + beta * C in operators of its own."""
    scribe, shape = Scribe(graph, node), graph.shape(node.output)
    operands = [
        _turned(scribe, name, node.number(key, 0)) for name, key in zip(node.inputs, ("transA", "transB"), strict=False)
    ]
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    operands[0] = _times(scribe, operands[0], alpha, "alpha")
    if not bias_name:
        return scribe.finish("MatMul", operands)
    return scribe.finish("Add", [scribe.add("MatMul", operands, shape, "product"), _times(scribe, bias_name, beta, "beta")])


def _times(scribe: Scribe, name: str, factor: float, label: str) -> str:
    if factor == 1:
        return name
    if (value := scribe.graph.constants.get(name)) is not None:
        return scribe.constant(label, value * np.float32(factor))
    return scribe.add("Mul", [name, scribe.constant(f"{label}_factor", factor)], scribe.shape(name), label)


def _turned(scribe: Scribe, name: str, turn: float) -> str:
    return scribe.add("Transpose", [name], scribe.graph.shape(name)[::-1], f"{name}_transposed", perm=(1, 0)) if turn else name


def matmul_with_bias(graph: Graph, node: Node) -> Replacement | None:
    """A constant row added to x * constant is the bias of the product."""
    if node.op != "Add":
        return None
    for product_name, row_name in (node.inputs, node.inputs[::-1]):
        product, row = graph.producers.get(product_name), graph.constants.get(row_name)
        if product is None or row is None or graph.sole_consumer(product_name) is not node or not _is_plain(graph, product):
            continue
        columns = graph.shape(product_name)[-1]
        if row.size == prod(row.shape[-1:]) == columns and graph.shape(node.output) == graph.shape(product_name):
            return _product(graph, node, product, row.reshape(-1))
    return None


def matmul(graph: Graph, node: Node) -> Replacement | None:
    """The product of a matrix, or of a stack of them, with a constant one is a Gemm."""
    return _product(graph, node, node, None) if _is_plain(graph, node) else None


def product_of_vectors(graph: Graph, node: Node) -> Replacement | None:
    """A vector in a product is a matrix of one row or one column, which the result loses again."""
    shapes = [graph.shape(name) for name in node.inputs] if node.op == "MatMul" else []
    if not shapes or all(len(shape) > 1 for shape in shapes):
        return None
    scribe, out = Scribe(graph, node), graph.shape(node.output)
    wide = [(1, *shapes[0]) if len(shapes[0]) == 1 else shapes[0], (*shapes[1], 1) if len(shapes[1]) == 1 else shapes[1]]
    operands = [_as_matrix(scribe, *one) for one in zip(node.inputs, shapes, wide, strict=True)]
    stack = np.broadcast_shapes(wide[0][:-2], wide[1][:-2])
    product = scribe.add("MatMul", operands, (*stack, wide[0][-2], wide[1][-1]), "product")
    return scribe.finish("Reshape", [product, scribe.constant("shape", out, "int64")])


def _as_matrix(scribe: Scribe, name: str, shape: tuple[int, ...], wide: tuple[int, ...]) -> str:
    if shape == wide:
        return name
    value = scribe.graph.constants.get(name)
    return scribe.view(name, wide, f"{name}_matrix") if value is None else scribe.constant("matrix", value.reshape(wide))


def _is_plain(graph: Graph, node: Node) -> bool:
    if node.op != "MatMul" or node.inputs[0] in graph.constants or node.inputs[1] not in graph.constants:
        return False
    return len(graph.shape(node.inputs[0])) >= 2 and len(graph.shape(node.inputs[1])) == 2


def _product(graph: Graph, node: Node, product: Node, bias: Array | None) -> Replacement:
    scribe, shape = Scribe(graph, node), graph.shape(product.inputs[0])
    constants = [scribe.constant("weights", graph.constants[product.inputs[1]].T)]
    constants += [scribe.constant("bias", bias)] if bias is not None else []
    if len(shape) == 2:
        return scribe.finish("Gemm", [product.inputs[0], *constants], **NORMAL)
    count, out = prod(shape[:-1]), graph.shape(node.output)
    rows = scribe.add(
        "Gemm", [scribe.view(product.inputs[0], (count, shape[-1]), "rows"), *constants], (count, out[-1]), "product", **NORMAL
    )
    return scribe.finish("Reshape", [rows, scribe.constant("stack", out, "int64")])


def clamp_of_rows(graph: Graph, node: Node) -> Replacement | None:
    """A clamp behind a view of a product is computed before it, where the product can take it in."""
    view = graph.producers.get(node.inputs[0]) if node.op in ("Relu", "Clip") else None
    product = graph.producers.get(view.inputs[0]) if view and view.op in ("Reshape", "Flatten") else None
    if view is None or product is None or product.op != "Gemm":
        return None
    if not (graph.sole_consumer(view.output) is node and graph.sole_consumer(product.output) is view):
        return None
    scribe = Scribe(graph, node)
    clamped = scribe.add(node.op, [product.output, *node.inputs[1:]], graph.shape(product.output), "clamped", **node.attributes)
    return scribe.finish("Reshape", [clamped, scribe.constant("view", graph.shape(node.output), "int64")])


def rows_as_picture(graph: Graph, node: Node) -> Replacement | None:
    """For the Edge TPU, whose fully connected layers take one row: the product of several is a convolution over a line of places."""
    if node.op != "Gemm" or graph.shape(node.inputs[0])[0] == 1 or node.inputs[1] not in graph.constants:
        return None
    (count, width), weights = graph.shape(node.inputs[0]), graph.constants[node.inputs[1]]
    scribe = Scribe(graph, node)
    kernel = scribe.constant("kernel", weights[:, :, None, None])
    line = scribe.view(node.inputs[0], (1, count, 1, width), "line")
    places = scribe.add("Transpose", [line], (1, width, count, 1), "places", perm=(0, 3, 1, 2))
    made = scribe.add("Conv", [places, kernel, *node.inputs[2:]], (1, len(weights), count, 1), "convolved", kernel_shape=(1, 1))
    last = scribe.add("Transpose", [made], (1, count, 1, len(weights)), "last", perm=(0, 2, 3, 1))
    return scribe.finish("Reshape", [last, scribe.constant("rows", graph.shape(node.output), "int64")])


def clamp_of_places(graph: Graph, node: Node) -> Replacement | None:
    """A clamp behind such a convolution is computed before its places become rows again, where the convolution can take it in."""
    rows = graph.producers.get(node.inputs[0]) if node.op in ("Relu", "Clip") else None
    last = graph.producers.get(rows.inputs[0]) if rows and rows.op == "Reshape" else None
    made = graph.producers.get(last.inputs[0]) if last and last.op == "Transpose" else None
    if rows is None or last is None or made is None or made.op != "Conv":
        return None
    chain = [made, last, rows, node]
    if not all(graph.sole_consumer(one.output) is after for one, after in pairwise(chain)):
        return None
    scribe = Scribe(graph, node)
    clamped = scribe.add(node.op, [made.output, *node.inputs[1:]], graph.shape(made.output), "clamped", **node.attributes)
    turned = scribe.add("Transpose", [clamped], graph.shape(last.output), "last", **last.attributes)
    return scribe.finish("Reshape", [turned, scribe.constant("rows", graph.shape(node.output), "int64")])


EDGETPU_RULES: tuple[Rule, ...] = (rows_as_picture, clamp_of_places)
RULES: tuple[Rule, ...] = (gemm, product_of_vectors, matmul_with_bias, matmul, clamp_of_rows)
