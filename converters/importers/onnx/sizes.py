"""A guard before shape inference: onnx (1.21 to 1.23) ends the process on a Slice of a dimension of negative size.

Such sizes come from windows larger than what they slide over and from pads that cut too much. A size of zero is no harm. The inference
that looks for such sizes steps over slices; what these make is computed here from constant bounds, so that it sees what lies behind them.
Behind a slice with computed bounds a hostile file may still hide such a size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from edgekit.core.errors import InputError

OPAQUE = "edgekit.opaque"
"""A domain without operators: inference steps over its nodes."""
INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
Types = dict[str, onnx.TypeProto]
Constants = Mapping[str, onnx.TensorProto]


def ensure_sliceable(model: onnx.ModelProto) -> None:
    """Raise `InputError` when a Slice would read a dimension of negative size.

    Large constants of the model should be inputs, for it is copied, and inferred once more for each stretch between slices.
    """
    waiting = [node for node in model.graph.node if node.op_type == "Slice" and not node.domain]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    copy = _without_slices(model)
    while waiting:
        types = _checked(copy)
        for node in waiting:
            made = _sliced(node, types, constants)
            if made is not None:
                types[node.output[0]] = made
                _state(copy.graph, node.output[0], made)
        left = [node for node in waiting if node.output[0] not in types]
        if len(left) == len(waiting):
            return
        waiting = left


def _checked(model: onnx.ModelProto) -> Types:
    """The type of every tensor that inference knows, none of a negative size."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    made = {name: node.op_type for node in inferred.node for name in node.output}
    values = (*inferred.value_info, *inferred.output)
    for value in values:
        smallest = min((dim.dim_value for dim in value.type.tensor_type.shape.dim), default=0)
        if smallest < 0 and value.name in made:
            raise no_size(value.name, made[value.name], smallest)
    opaque = {name for node in inferred.node if node.domain == OPAQUE for name in node.output}
    return {value.name: value.type for value in (*inferred.input, *values) if value.name not in opaque}


def _state(graph: onnx.GraphProto, name: str, made: onnx.TypeProto) -> None:
    """Tell inference what a slice makes; `graph` is a copy of our own."""
    output = next((value for value in graph.output if value.name == name), None)
    if output is None:
        graph.value_info.append(onnx.ValueInfoProto(name=name, type=made))
    else:
        output.type.CopyFrom(made)


def _sliced(node: onnx.NodeProto, types: Types, constants: Constants) -> onnx.TypeProto | None:
    """What a Slice with constant bounds makes; None where something of it is not known, or makes no sense."""
    source = types[node.input[0]].tensor_type if node.input and node.input[0] in types else None
    if source is None or not source.HasField("shape") or not all(dim.HasField("dim_value") for dim in source.shape.dim):
        return None
    sizes = [dim.dim_value for dim in source.shape.dim]
    bounds = _bounds(node, constants, len(sizes))
    if bounds is None:
        return None
    for axis, (start, end, step) in bounds.items():
        end_or_all = None if step < 0 and end < -sizes[axis] else end
        sizes[axis] = len(range(sizes[axis])[start:end_or_all:step])
    return onnx.helper.make_tensor_type_proto(source.elem_type, sizes)


def _bounds(node: onnx.NodeProto, constants: Constants, rank: int) -> dict[int, tuple[int, int, int]] | None:
    """Axis -> (start, end, step), where all of them are constant and fit one another."""
    starts, ends, axes, steps = (_numbers(node, index, constants) for index in range(1, 5))
    if starts is None or ends is None or axes is None or steps is None:
        return None
    axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        return None
    if any(not -rank <= axis < rank for axis in axes):
        return None
    return {axis: (start, end, step) for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)}


def _numbers(node: onnx.NodeProto, index: int, constants: Constants) -> list[int] | None:
    """The integers at an input: none when it is left out, None when they are computed or are no integers."""
    if index >= len(node.input) or not node.input[index]:
        return []
    stored = constants.get(node.input[index])
    if stored is None or stored.data_type not in INTEGERS:
        return None
    return [int(number) for number in np.ravel(numpy_helper.to_array(stored))]


def _without_slices(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type == "Slice":
            node.domain = OPAQUE
    copy.opset_import.append(onnx.helper.make_opsetid(OPAQUE, 1))
    return copy


def no_size(name: str, op: str, size: int) -> InputError:
    """A computed tensor without elements, or with fewer than none."""
    return InputError(
        f"op {op} makes {name!r} with a dimension of size {size}: what it slides or cuts with is larger than its input",
        "is the input shape right? --input-shape NAME=1x3x224x224",
    )
