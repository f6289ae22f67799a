"""One operator set to another, for engines whose parsers stop at an older one or need a newer one."""

from __future__ import annotations

from dataclasses import replace

import onnx

from edgekit.converters.graph import Graph, Node
from edgekit.converters.graph_onnx import from_model, to_model
from edgekit.core.errors import ConversionError, Unsupported


def at_opset(graph: Graph, opset: int) -> Graph:
    """The same computation in operator set `opset`.

    Upwards by ONNX's own version converter. Downwards only where every node already reads the same there; raises
    `Unsupported` naming the first node that does not.
    """
    if opset == graph.opset:
        return graph
    if opset > graph.opset:
        return _raised(graph, opset)
    for node in graph.nodes:
        _ensure_readable(node, graph.opset, opset)
    return replace(graph, opset=opset)


def _raised(graph: Graph, opset: int) -> Graph:
    try:
        model = onnx.version_converter.convert_version(to_model(graph), opset)
        converted = from_model(onnx.shape_inference.infer_shapes(model, data_prop=True))
    except Exception as exc:  # the converter throws whatever its C++ adapters throw
        reason = str(exc).strip().splitlines()[-1]
        message = f"the graph could not be brought from operator set {graph.opset} to {opset}: {reason}"
        raise ConversionError(message, f"export the model with opset {opset}") from exc
    return replace(
        converted,
        name=graph.name,
        inputs=graph.inputs,
        outputs=graph.outputs,
        specs={**converted.specs, **{name: spec for name, spec in graph.specs.items() if name not in graph.constants}},
    )


def _ensure_readable(node: Node, written: int, wanted: int) -> None:
    """Raise `Unsupported` unless the operator exists at `wanted` with this node's attributes and number of inputs."""
    where = f"op {node.op} at {node.name!r}"
    if not onnx.defs.has(node.op, wanted, node.domain):
        raise Unsupported(f"{where} does not exist in operator set {wanted}", "a newer version of the engine reads it")
    old, new = onnx.defs.get_schema(node.op, wanted, node.domain), onnx.defs.get_schema(node.op, written, node.domain)
    if old.since_version == new.since_version:
        return
    unknown = sorted(set(node.attributes) - set(old.attributes))
    if unknown or len(node.inputs) > old.max_input:
        what = f"attribute {unknown[0]!r}" if unknown else f"{len(node.inputs)} inputs"
        raise Unsupported(f"{where} has {what}, unknown in operator set {wanted}", "a newer version of the engine reads it")
