"""Newer operators that stand for many: said in the plain ones that they stand for, which every later stage knows."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.inliner

from edgekit.converters.graph_onnx import default_opset
from edgekit.converters.importers.onnx.said import said
from edgekit.core.errors import InputError

COMPOSITES = frozenset({"Attention", "MeanVarianceNormalization", "RotaryEmbedding", "SwiGLU", "Swish"})
"""What is exported in one node or in several, as the exporter likes: the several are what is quantized, pruned and placed."""

MASK = 3
"""Where an Attention reads its mask."""


def with_composites_unfolded(file: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with ONNX's own definition of each of `COMPOSITES` in its place; its inputs are static.

    Raises `InputError` where ONNX cannot spell out a node, which it must know the types of.
    """
    while composites := [node for node in model.graph.node if _is_composite(node)]:
        wanted = [("", op) for op in sorted({node.op_type for node in composites})]
        try:
            typed = onnx.shape_inference.infer_shapes(_spoken_out(model), strict_mode=True, data_prop=True)
            model = onnx.inliner.inline_selected_functions(typed, wanted, inline_schema_functions=True)
        except Exception as exc:  # the inliner throws whatever its C++ code throws
            first = composites[0]
            message = f"op {first.op_type} at {first.name!r} of {str(file)!r} could not be unfolded: {said(exc)}"
            hint = "pip install --upgrade onnx, or export the model with operator set 22 or older"
            raise InputError(message, hint) from exc
    return model


def _is_composite(node: onnx.NodeProto) -> bool:
    return node.op_type in COMPOSITES and node.domain in ("", "ai.onnx")


def _spoken_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that says what the inliner does not look up (seen in onnx 1.23): types of initializers, defaults of attributes."""
    spoken = onnx.ModelProto()
    spoken.CopyFrom(model)
    said = {value.name for value in (*model.graph.input, *model.graph.value_info)}
    constants = [tensor for tensor in model.graph.initializer if tensor.name not in said]
    spoken.graph.value_info.extend(onnx.helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in constants)
    for node in spoken.graph.node:
        if _is_composite(node):
            _fill_mask(spoken.graph, node)
            node.attribute.extend(_defaults(node, default_opset(model)))
    return spoken


def _fill_mask(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """A mask that is left out before past keys as zeros that are added: the inliner asks for the type of what has no name."""
    if node.op_type != "Attention" or len(node.input) <= MASK or node.input[MASK]:
        return
    name = f"{node.output[0]}/no mask"
    kind = next((v.type.tensor_type.elem_type for v in graph.value_info if v.name == node.input[0]), 0)
    kind = kind or next((v.type.tensor_type.elem_type for v in graph.input if v.name == node.input[0]), onnx.TensorProto.FLOAT)
    graph.initializer.append(onnx.helper.make_tensor(name, kind, (1, 1), [0.0]))
    graph.value_info.append(onnx.helper.make_tensor_value_info(name, kind, (1, 1)))
    node.input[MASK] = name


def _defaults(node: onnx.NodeProto, opset: int) -> list[onnx.AttributeProto]:
    """The attributes that the node leaves to their default."""
    given = {attribute.name for attribute in node.attribute}
    known = onnx.defs.get_schema(node.op_type, opset).attributes
    return [one.default_value for key, one in known.items() if key not in given and one.default_value.type]
