"""Why a quantizing node of a source is none of a pair that integers of another engine can take over."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.recorded.grids import ACTIVATIONS, DEQUANTIZE, QUANTIZE, grid_of

FLOAT_MODEL = "convert the float model that it was made from"
STATIC = f"quantize it with data (quantize_static), or {FLOAT_MODEL}"


def unread(graph: Graph) -> tuple[str, str] | None:
    """What cannot be taken over of the first quantizing node that is left, and what to do; None when there is no such node."""
    node = next((node for node in graph.nodes if node.op in (QUANTIZE, DEQUANTIZE, "DynamicQuantizeLinear")), None)
    return None if node is None else (f"op {node.op} at {node.name!r} {_fault(graph, node)}", _remedy(graph, node))


def _fault(graph: Graph, node: Node) -> str:
    if node.op == "DynamicQuantizeLinear":
        return "measures its input anew in every run, and what reads it is no product that is known here"
    integers = graph.specs[node.output if node.op == QUANTIZE else node.inputs[0]]
    if integers.dtype not in ACTIVATIONS:
        return f"has activations of {integers.dtype}, which only accelerators of its maker compute with"
    if integers.name in {spec.name for spec in (*graph.inputs, *graph.outputs)}:
        return f"stands at an end of the model that takes or gives {integers.dtype} itself: {integers.name!r}"
    params = grid_of(graph, node)
    if params is None:
        return "has a scale that is computed, or one for each of many blocks of an activation"
    if params.per_channel:
        return f"has a scale for each of {params.scale.size} channels of an activation"
    return "is not one of a pair with one grid"


def _remedy(graph: Graph, node: Node) -> str:
    if node.op == "DynamicQuantizeLinear":
        return STATIC
    integers = node.output if node.op == QUANTIZE else node.inputs[0]
    if integers in {spec.name for spec in (*graph.inputs, *graph.outputs)}:
        return (
            "quantize the model with its inputs and outputs in float: edgekit makes them integers where the engine takes some"
        )
    return f"quantize activations per tensor to int8 or uint8, or {FLOAT_MODEL}"
