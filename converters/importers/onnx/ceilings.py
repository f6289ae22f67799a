"""Pools that round their size up: a last window that would begin behind the picture is none.

ONNX's shape inference counts that window before operator set 22; every engine, and PyTorch, leave it out. Where it is left out the
size is what rounding down gives, and so it is written.
"""

from __future__ import annotations

import onnx

from edgekit.converters.graph import Graph, Node
from edgekit.converters.importers.onnx.shapes import inferred_graph

POOLS = frozenset({"AveragePool", "MaxPool", "LpPool"})


def graph_as_run(model: onnx.ModelProto, name: str) -> Graph:
    """The graph of a model with the shapes that engines make; raises what `inferred_graph` raises."""
    while True:
        graph = inferred_graph(model, name=name)
        beyond = {node.output for node in graph.nodes if node.op in POOLS and _beyond(graph, node)}
        if not beyond:
            return graph
        model = _rounding_down(model, beyond)


def _beyond(graph: Graph, node: Node) -> bool:
    """Whether the last window of a dimension begins where neither the picture nor the padding before it is."""
    if not node.integer("ceil_mode", 0) or node.text("auto_pad", "NOTSET") != "NOTSET":
        return False
    size, out = graph.shape(node.inputs[0])[2:], graph.shape(node.output)[2:]
    strides, pads = node.integers("strides", (1,) * len(size)), node.integers("pads", (0,) * 2 * len(size))
    return any((o - 1) * s >= n + before for n, o, s, before in zip(size, out, strides, pads[: len(size)], strict=True))


def _rounding_down(model: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    """The model with those pools rounding down, and without the shapes that it states between its ends."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        if names.intersection(node.output):
            kept = [item for item in node.attribute if item.name != "ceil_mode"]
            del node.attribute[:]
            node.attribute.extend(kept)
    del changed.graph.value_info[:]
    for output in changed.graph.output:
        output.type.tensor_type.ClearField("shape")
    return changed
