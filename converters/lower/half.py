"""A graph that computes in half precision: for engines that take every tensor's type from the model (strong typing)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.graph_onnx import element_type
from edgekit.converters.quantize.roles import is_float
from edgekit.core.schema import TensorSpec

LARGEST = float(np.finfo(np.float16).max)
SMALLEST_SCALE = 2.0**-20
"""Far below any real scale, well above where float16 becomes zero."""


def in_half(graph: Graph) -> Graph:
    """The graph in float16 between float32 inputs and outputs of the same names.

    Constants beyond float16's range saturate. Nodes whose operator knows no float16 stay float32 between casts. Q/DQ pairs
    become float16 with their scales, which needs operator set 19.
    """
    inside = {spec.name: f"{spec.name}/half" for spec in (*graph.inputs, *graph.outputs) if spec.dtype == "float32"}
    constants: dict[str, Array] = {}
    nodes = [_cast(spec.name, inside[spec.name], "float16") for spec in graph.inputs if spec.name in inside]
    for node in graph.nodes:
        nodes += _converted(graph, node, inside, constants)
    nodes += [_cast(inside[spec.name], spec.name, "float32") for spec in graph.outputs if spec.name in inside]
    outer = {spec.name: spec for spec in (*graph.inputs, *graph.outputs)}
    kept = {name: _half_spec(spec) for name, spec in graph.specs.items() if name not in graph.constants}
    halves = {name: TensorSpec(name=name, shape=graph.shape(old), dtype="float16") for old, name in inside.items()}
    return replace(graph, nodes=(), specs={**kept, **halves, **outer}).with_nodes(nodes, constants=constants)


def _half_spec(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(name=spec.name, shape=spec.shape, dtype="float16" if spec.dtype == "float32" else spec.dtype)


def _cast(source: str, target: str, dtype: str) -> Node:
    attributes = {"to": element_type(dtype)}
    return Node(op="Cast", name=f"{target}/Cast", inputs=(source,), outputs=(target,), attributes=attributes)


def _converted(graph: Graph, node: Node, inside: dict[str, str], constants: dict[str, Array]) -> list[Node]:
    """The node on half-precision tensors, with casts around it where its operator takes only float32."""
    before: list[Node] = []
    inputs = []
    takes_half = [_takes_half(graph, node, index) for index in range(len(node.inputs))]
    for index, name in enumerate(node.inputs):
        if name and graph.specs.get(name, None) is not None and graph.specs[name].dtype == "float32":
            inputs.append(_operand(graph, node, index, takes_half[index], inside, constants, before))
        else:
            inputs.append(name)
    computed = [i for i, name in enumerate(node.inputs) if name not in graph.constants and is_float(graph, name)]
    outputs = [inside.get(name, name) for name in node.outputs]
    attributes = {**node.attributes, "to": element_type("float16")} if _casts_to_float(node) else node.attributes
    whole = all(takes_half[index] for index in computed)
    floats = [name for name in outputs if not whole and is_float(graph, name)]
    named = tuple(f"{name}/full" if name in floats else name for name in outputs)
    after = [_cast(f"{name}/full", name, "float16") for name in floats]
    return [*before, replace(node, inputs=tuple(inputs), outputs=named, attributes=attributes), *after]


def _operand(
    graph: Graph, node: Node, index: int, half: bool, inside: dict[str, str], constants: dict[str, Array], before: list[Node]
) -> str:
    """The name under which the node reads a float32 operand; makes the constant or the cast that it needs."""
    name = node.inputs[index]
    if name in graph.constants and half:
        scale = node.op in {"QuantizeLinear", "DequantizeLinear"} and index == 1
        constants[f"{name}/half"] = _half(graph.constants[name], scale)
        return f"{name}/half"
    if name in graph.constants or half:
        return inside.get(name, name)
    target = f"{node.name}/{index}/full"
    before.append(_cast(inside.get(name, name), target, "float32"))
    return target


def _half(value: Array, scale: bool) -> Array:
    if scale:
        return np.maximum(value, SMALLEST_SCALE).astype(np.float16)
    return np.clip(value, -LARGEST, LARGEST).astype(np.float16)


def _takes_half(graph: Graph, node: Node, index: int) -> bool:
    """Whether the operator's formal input allows float16."""
    formal = onnx.defs.get_schema(node.op, graph.opset, node.domain).inputs
    return "tensor(float16)" in formal[min(index, len(formal) - 1)].types


def _casts_to_float(node: Node) -> bool:
    return node.op == "Cast" and node.attributes.get("to") == element_type("float32")
