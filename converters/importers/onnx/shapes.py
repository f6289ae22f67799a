"""Static shapes for every tensor: freeze the inputs, infer, fold what has become constant, until nothing is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import onnx

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import from_model
from edgekit.converters.importers.onnx.empty import without_empty_parts
from edgekit.converters.importers.onnx.inference import with_shapes
from edgekit.converters.importers.onnx.ml import ml_specs
from edgekit.converters.importers.onnx.sizes import no_size
from edgekit.converters.optimise.fold_constants import fold_constants
from edgekit.core.errors import InputError
from edgekit.core.names import did_you_mean
from edgekit.core.schema import TensorSpec

KEEPS_SHAPE = frozenset({"GroupNormalization"})
"""onnx (seen in 1.23) infers no shape for what these make."""


def freeze_inputs(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Write static shapes into the model's inputs; returns what was decided without being asked, as notes."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    for name in shapes:
        if name not in {value.name for value in inputs}:
            raise InputError(
                f"the model has no input {name!r}",
                did_you_mean(name, [value.name for value in inputs], "see 'edgekit inspect'"),
            )
    _ensure_asked_for(inputs, shapes)
    notes = tuple(note for value in inputs for note in _freeze(value, shapes.get(value.name)))
    if notes or shapes:
        _forget_shapes(model)
    return notes


def inferred_graph(model: onnx.ModelProto, name: str) -> Graph:
    """The graph of a model with a static spec for every tensor; raises `InputError` naming the first tensor without one."""
    return static_graph(replace(from_model(model), name=name))


def static_graph(graph: Graph) -> Graph:
    """The graph with a static spec for every tensor, after folding what its shapes are computed with."""
    graph = with_shapes(_with_constants_stated(graph))
    before = len(graph.producers) + 1
    while True:
        folded = fold_constants(graph)
        still = len(_open(folded.graph))
        if folded.changes == 0 and not still:
            break
        if folded.changes == 0 and still >= before:
            raise _dynamic(folded.graph)
        before = still
        known = {**ml_specs(folded.graph), **_kept_shapes(folded.graph)}
        graph = with_shapes(replace(folded.graph, specs={**folded.graph.specs, **known}))
    graph = without_empty_parts(folded.graph)
    _ensure_sized(graph)
    return graph


def _kept_shapes(graph: Graph) -> Mapping[str, TensorSpec]:
    """The specs of what operators make that keep the shape they read, where onnx's inference does not say so."""
    nodes = [node for node in graph.nodes if node.op in KEEPS_SHAPE and not node.domain and node.output not in graph.specs]
    read = {node.output: graph.specs.get(node.inputs[0]) for node in nodes}
    return {name: msgspec.structs.replace(spec, name=name) for name, spec in read.items() if spec is not None}


def _with_constants_stated(graph: Graph) -> Graph:
    """Constant nodes as constants: inference then need not carry their values."""
    stated = {
        node.output: value
        for node in graph.nodes
        if node.op == "Constant" and not node.domain and node.output not in graph.output_names
        if isinstance(value := node.attributes.get("value"), np.ndarray)
    }
    return graph.with_nodes([node for node in graph.nodes if node.output not in stated], constants=stated)


def _ensure_sized(graph: Graph) -> None:
    """Every computed float tensor has elements; an empty list of integers (a shape, an index) is no harm."""
    for node in graph.nodes:
        for spec in (graph.specs[name] for name in node.outputs if name):
            size = min(spec.shape, default=1)
            if size < 0 or (size == 0 and spec.dtype.startswith("float")):
                raise no_size(spec.name, node.op, size)


def _freeze(value: onnx.ValueInfoProto, shape: tuple[int, ...] | None) -> list[str]:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        if shape is None or not value.type.HasField("tensor_type"):
            raise InputError(f"input {value.name!r} has no shape", f"name one: --input-shape {value.name}=1x3x224x224")
        tensor.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in shape)
    if shape is not None:
        return _set(value, shape)
    if _open_dims(value):
        tensor.shape.dim[0].Clear()
        tensor.shape.dim[0].dim_value = 1
        return [f"input {value.name!r} had a dynamic batch dimension; it is 1 in this artifact"]
    return []


def _open_dims(value: onnx.ValueInfoProto) -> list[int]:
    dims = value.type.tensor_type.shape.dim
    return [index for index, dim in enumerate(dims) if not dim.HasField("dim_value") or dim.dim_value <= 0]


def _ensure_asked_for(inputs: Sequence[onnx.ValueInfoProto], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise for all inputs together whose open dimensions are more than the batch and were given no value.

    A size of zero that is written down is not open: the file's own engine would take nothing else.
    """
    for value in inputs:
        if any(dim.HasField("dim_value") and dim.dim_value == 0 for dim in value.type.tensor_type.shape.dim):
            raise InputError(
                f"input {value.name!r} has a dimension of size 0", "export the model for inputs that hold something"
            )
    unknown = [value for value in inputs if value.name not in shapes and _open_dims(value) not in ([], [0])]
    if not unknown:
        return
    said = "; ".join(f"input {value.name!r} has dynamic dimensions: {_open_names(value)}" for value in unknown)
    hints = " ".join(f"--input-shape {value.name}={_example(value)}" for value in unknown)
    raise InputError(said, f"give {'them static shapes' if len(unknown) > 1 else 'it a static shape'}: {hints}")


def _open_names(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return ", ".join(f"{index} ({dims[index].dim_param or '?'})" for index in _open_dims(value))


def _example(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return "x".join(str(dim.dim_value) if dim.dim_value > 0 else ("1" if i == 0 else "224") for i, dim in enumerate(dims))


def _set(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> list[str]:
    dims = value.type.tensor_type.shape.dim
    if len(shape) != len(dims) or any(size <= 0 for size in shape):
        raise InputError(
            f"input {value.name!r} has {len(dims)} dimensions, the shape given is {'x'.join(map(str, shape))}",
            "see 'edgekit inspect'",
        )
    notes = []
    for index, (dim, size) in enumerate(zip(dims, shape, strict=True)):
        if dim.HasField("dim_value") and dim.dim_value not in (0, size):
            notes.append(f"input {value.name!r}: dimension {index} was {dim.dim_value}, it is {size} in this artifact")
        dim.Clear()
        dim.dim_value = size
    return notes


def _forget_shapes(model: onnx.ModelProto) -> None:
    """Drop what the exporter believed about shapes further on; it may contradict the frozen inputs."""
    del model.graph.value_info[:]
    for output in model.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")


def _open(graph: Graph) -> list[str]:
    return [name for node in graph.nodes for name in node.outputs if name and name not in graph.specs]


def _dynamic(graph: Graph) -> InputError:
    name = _open(graph)[0]
    node = graph.producers[name]
    message = f"op {node.op} at {node.name!r} makes {name!r}, whose shape depends on the data"
    return InputError(message, "cut the model before it, or export it with fixed shapes")
