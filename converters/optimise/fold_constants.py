"""Compute at conversion time what does not depend on the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import ValueInfoProto
from onnx.reference import ReferenceEvaluator

from edgekit.converters.graph import Array, Graph, Node, PassResult, spec_of
from edgekit.converters.graph_onnx import to_model
from edgekit.core.errors import ConversionError

RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"})
QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
"""Folding these would turn a quantized model's weights back into floats; they say what the weights are."""
FOLD_LIMIT_BYTES = 64 << 20
"""Results larger than this, and than what they are made of, stay computed: a broadcast or tiled constant would outgrow the model."""
GROWTH_LIMIT = 2
"""A large result may be at most so many times its operands: float16 weights become float32, transposed ones stay what they are."""


def fold_constants(graph: Graph) -> PassResult:
    """Replace nodes whose inputs are all constant by their values, and Shape and Size of static tensors likewise.

    Guarantees: every remaining tensor keeps its value; graph outputs stay computed by a node.
    """
    constants = dict(graph.constants)
    kept: list[Node] = []
    for node in graph.nodes:
        values = None if graph.output_names.intersection(node.outputs) else _value(graph, node, constants)
        if values is None:
            kept.append(node)
        else:
            constants.update(values)
    changes = len(graph.nodes) - len(kept)
    added = {name: value for name, value in constants.items() if name not in graph.constants}
    return PassResult(graph=graph.with_nodes(kept, constants=added) if changes else graph, changes=changes)


def _value(graph: Graph, node: Node, constants: dict[str, Array]) -> dict[str, Array] | None:
    """The values of the node's outputs, or None when they are not known yet."""
    if node.op in ("Shape", "Size") and node.inputs[0] in graph.specs:
        return {node.output: _shape_value(graph, node)}
    inputs = [name for name in node.inputs if name]
    if node.domain or node.op in RANDOM | QUANTIZERS or not all(name in constants for name in inputs):
        return None
    operands = {name: constants[name] for name in inputs}
    return None if _too_large(graph, node, operands) else _evaluate(graph, node, operands)


def _shape_value(graph: Graph, node: Node) -> Array:
    shape = np.asarray(graph.shape(node.inputs[0]), np.int64)
    if node.op == "Size":
        return np.asarray(int(np.prod(shape)), np.int64)
    return shape[node.integer("start", 0) : node.integer("end", len(shape))]


def _too_large(graph: Graph, node: Node, operands: Mapping[str, Array]) -> bool:
    specs = [graph.specs[name] for name in node.outputs if name in graph.specs]
    size = max((math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in specs), default=0)
    size = max(size, _predicted_bytes(node, list(operands.values())))
    return size > max(FOLD_LIMIT_BYTES, GROWTH_LIMIT * sum(value.nbytes for value in operands.values()))


def _predicted_bytes(node: Node, operands: list[Array]) -> int:
    """What operators will make whose operands say the size of the result (shape inference need not know it): at least 1 byte each."""
    if node.op in ("ConstantOfShape", "Expand"):
        return math.prod(max(int(size), 1) for size in operands[-1].flat)
    if node.op == "Tile":
        return operands[0].size * math.prod(max(int(count), 1) for count in operands[1].flat)
    if node.op == "Range":
        start, limit, step = (float(value.flat[0]) for value in operands)
        count = (limit - start) / step if step else 0.0
        return max(0, math.ceil(count)) if math.isfinite(count) else FOLD_LIMIT_BYTES + 1
    return 0


def _gather_elements(node: Node, data: Array, indices: Array) -> Array:
    """The reference (onnx 1.23) wants as many indices as elements where it has more than 32 to choose from."""
    axis = node.integer("axis", 0) % data.ndim
    seen = data[tuple(slice(None if other == axis else size) for other, size in enumerate(indices.shape))]
    try:
        return np.take_along_axis(seen, np.where(indices < 0, indices + data.shape[axis], indices), axis)
    except (ValueError, IndexError) as exc:
        raise _broken(node, exc) from exc


BY_NUMPY: Mapping[str, Callable[..., Array]] = {"GatherElements": _gather_elements}


def _broken(node: Node, exc: Exception) -> ConversionError:
    """A node that does not compute on its own constants is a broken model."""
    return ConversionError(f"op {node.op} at {node.name!r} does not compute: {exc}", "export the model again")


def _evaluate(graph: Graph, node: Node, inputs: dict[str, Array]) -> dict[str, Array] | None:
    """Run one node: with numpy where onnx's reference implementation falls short, else with that."""
    if node.op in BY_NUMPY:
        return {node.output: BY_NUMPY[node.op](node, *(inputs[name] for name in node.inputs))}
    single = Graph(
        name="fold",
        opset=graph.opset,
        inputs=tuple(spec_of(name, value) for name, value in inputs.items()),
        outputs=(),
        nodes=(node,),
        constants={},
        specs={},
    )
    names = [name for name in node.outputs if name]
    model = to_model(single)
    model.graph.output.extend(ValueInfoProto(name=name) for name in names)
    try:
        with np.errstate(all="ignore"):  # the log of zero is what the engine would compute too
            results: list[Any] = ReferenceEvaluator(model).run(names, inputs)
    except NotImplementedError:  # the engine may know it
        return None
    except Exception as exc:  # whatever the operator's implementation throws
        raise _broken(node, exc) from exc
    if not all(isinstance(result, (np.ndarray, np.generic)) for result in results):
        return None
    return {name: np.asarray(result) for name, result in zip(names, results, strict=True)}
