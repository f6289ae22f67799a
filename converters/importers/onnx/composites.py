"""Newer operators that stand for many: said in the plain ones that they stand for, which every later stage knows."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.inliner

from edgekit.converters.graph_onnx import default_opset
from edgekit.core.errors import InputError

COMPOSITES = frozenset({"Attention", "MeanVarianceNormalization", "RotaryEmbedding", "SwiGLU", "Swish"})
"""What is exported in one node or in several, as the exporter likes: the several are what is quantized, pruned and placed."""


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
            first, reason = composites[0], str(exc).strip().splitlines()[-1]
            message = f"op {first.op_type} at {first.name!r} of {str(file)!r} could not be unfolded: {reason}"
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
            node.attribute.extend(_defaults(node, default_opset(model)))
    return spoken


def _defaults(node: onnx.NodeProto, opset: int) -> list[onnx.AttributeProto]:
    """The attributes that the node leaves to their default."""
    given = {attribute.name for attribute in node.attribute}
    known = onnx.defs.get_schema(node.op_type, opset).attributes
    return [one.default_value for key, one in known.items() if key not in given and one.default_value.type]
