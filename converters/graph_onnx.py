"""`Graph` to ONNX and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.core.optional import need

need("onnx")

import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from edgekit.converters.graph import Array, Attribute, Graph, Node, spec_of  # noqa: E402
from edgekit.core.errors import InputError, Unsupported  # noqa: E402
from edgekit.core.schema import TensorSpec  # noqa: E402

ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 3
"""Trees, linear models and the like, in a version that ONNX Runtime 1.12 knows."""
IR_VERSION = 8
"""Read by ONNX Runtime 1.12 and TensorRT 8.5 onwards; nothing here needs a newer one."""


def to_model(graph: Graph, extra_outputs: Sequence[str] = ()) -> onnx.ModelProto:
    """The ONNX model of a graph. `extra_outputs` names further tensors to return after the graph's own outputs.

    A spec without a dtype is written as a name alone, for shape inference to fill in.
    """
    extra = [graph.specs[name] for name in extra_outputs if name not in graph.output_names]
    used = {name for node in graph.nodes for name in node.inputs} | graph.output_names
    proto = helper.make_graph(
        [_to_node(node) for node in graph.nodes],
        graph.name,
        [to_value(spec) for spec in graph.inputs],
        [to_value(spec) for spec in (*graph.outputs, *extra)],
        initializer=[numpy_helper.from_array(value, name) for name, value in graph.constants.items() if name in used],
    )
    domains = sorted({node.domain for node in graph.nodes} - {"", "ai.onnx"})
    versions = {domain: ML_OPSET if domain == ML_DOMAIN else 1 for domain in domains}
    opsets = [helper.make_opsetid("", graph.opset), *(helper.make_opsetid(*entry) for entry in versions.items())]
    return helper.make_model(proto, opset_imports=opsets, ir_version=IR_VERSION, producer_name="edgekit")


def to_bytes(graph: Graph, extra_outputs: Sequence[str] = ()) -> bytes:
    """The serialized ONNX model of a graph; the same graph always gives the same bytes."""
    return bytes(to_model(graph, extra_outputs).SerializeToString(deterministic=True))


def from_model(model: onnx.ModelProto) -> Graph:
    """The graph of a model whose shapes have been inferred. Tensors without a static shape are left out of `specs`.

    Raises `InputError` for an input that is no tensor of a known type and static shape.
    """
    proto = model.graph
    constants = {tensor.name: _array(tensor) for tensor in proto.initializer}
    specs = specs_of(proto) | {name: spec_of(name, value) for name, value in constants.items()}
    return Graph(
        name=proto.name or "model",
        opset=default_opset(model),
        inputs=tuple(_input(specs, value.name) for value in proto.input if value.name not in constants),
        outputs=tuple(specs.get(value.name) or TensorSpec(name=value.name, shape=(), dtype="") for value in proto.output),
        nodes=tuple(_from_nodes(proto.node)),
        constants=constants,
        specs=specs,
    )


def _input(specs: Mapping[str, TensorSpec], name: str) -> TensorSpec:
    if name not in specs:
        raise InputError(f"input {name!r} is no tensor of a known type and static shape", "export the model again")
    return specs[name]


def specs_of(proto: onnx.GraphProto) -> dict[str, TensorSpec]:
    """The specs of inputs, inner tensors and outputs that have a static shape."""
    values = (*proto.input, *proto.value_info, *proto.output)
    return {value.name: spec for value in values if (spec := _from_value(value)) is not None}


def default_opset(model: onnx.ModelProto) -> int:
    """The version of the default operator set that a model imports."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)


def names_in(model: onnx.ModelProto) -> set[str]:
    """What the tensors and nodes of a model are called."""
    graph = model.graph
    ends = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    return ends | {name for node in graph.node for name in (node.name, *node.input, *node.output)}


def dtype_name(element_type: int) -> str:
    """The numpy name of an ONNX element type; nothing for one that is not told. Raises `InputError` for one that ONNX has not."""
    return str(numpy_type(element_type).name) if element_type else ""


def numpy_type(element_type: int) -> np.dtype[Any]:
    """The numpy type of an ONNX element type. Raises `InputError` for one that ONNX has not."""
    try:
        found: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(element_type))
        return found
    except KeyError as exc:
        raise InputError(f"a tensor has the element type {element_type}, which ONNX has not", "export the model again") from exc


def element_type(dtype: str) -> int:
    """The ONNX element type of a numpy dtype name."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _to_node(node: Node) -> onnx.NodeProto:
    proto = helper.make_node(node.op, node.inputs, node.outputs, name=node.name, domain=node.domain)
    proto.attribute.extend(_to_proto(key, value) for key, value in sorted(node.attributes.items()))
    return proto


def _to_proto(key: str, value: Attribute) -> onnx.AttributeProto:
    """An attribute; an empty list is one of integers (axes, as a rule), for it cannot tell its own type."""
    if isinstance(value, tuple) and all(type(each) is int for each in value):
        return onnx.AttributeProto(name=key, type=onnx.AttributeProto.INTS, ints=value)
    return helper.make_attribute(key, _to_attribute(value))


def _to_attribute(value: Attribute) -> Any:
    if isinstance(value, np.ndarray):
        return numpy_helper.from_array(value)
    return list(value) if isinstance(value, tuple) else value


def to_value(spec: TensorSpec) -> onnx.ValueInfoProto:
    """A spec as ONNX writes it."""
    if not spec.dtype:
        return helper.make_empty_tensor_value_info(spec.name)
    return helper.make_tensor_value_info(spec.name, element_type(spec.dtype), spec.shape)


def _from_value(value: onnx.ValueInfoProto) -> TensorSpec | None:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape") or tensor.elem_type == TensorProto.UNDEFINED:
        return None
    if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    shape = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
    return TensorSpec(name=value.name, shape=shape, dtype=dtype_name(tensor.elem_type))


def _from_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterable[Node]:
    """Nodes with names made unique: unnamed ones are called by op and position, repeated names get a suffix."""
    taken: set[str] = set()
    for index, node in enumerate(nodes):
        name = node.name or f"{node.op_type}_{index}"
        while name in taken:
            name = f"{name}_{index}"
        taken.add(name)
        attributes = {item.name: _from_attribute(item) for item in node.attribute}
        domain = "" if node.domain == "ai.onnx" else node.domain
        yield Node(
            op=node.op_type,
            name=name,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            attributes=attributes,
            domain=domain,
        )


def _array(tensor: TensorProto) -> Array:
    """The value of a tensor. Raises `InputError` when its bytes, its type and its shape do not fit one another."""
    try:
        value: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError, UnicodeDecodeError) as exc:
        shape = tuple(tensor.dims)
        raise InputError(
            f"the constant {tensor.name!r} of shape {shape} does not hold together: {exc}", "export again"
        ) from exc
    return value


def _from_attribute(item: onnx.AttributeProto) -> Attribute:
    value = helper.get_attribute_value(item)
    if isinstance(value, TensorProto):
        return _array(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)) or type(value).__name__ == "RepeatedScalarContainer":
        return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value)
    if isinstance(value, (int, float, str)):
        return value
    kind = onnx.AttributeProto.AttributeType.Name(item.type)
    raise Unsupported(f"attribute {item.name!r} is of the type {kind}, which no operator here takes", "export the model again")
