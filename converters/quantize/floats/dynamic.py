"""Dynamic range: weights are integers, activations are floats that kernels quantize row by row while they run. No calibration is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from edgekit.converters.graph import Attribute, Graph, Node
from edgekit.converters.quantize.observe.histogram import observe
from edgekit.converters.quantize.parameters import Quantization, QuantParams
from edgekit.converters.quantize.ranges.choose import Scheme, min_max, parameters
from edgekit.converters.quantize.ranges.weights import output_axis, weight_name, weight_params

SCHEME = Scheme(dtype="int8", symmetric=True)
FEWEST = 1024
"""Weights below which integers save less than a scale and a conversion cost."""


def dynamic_range(graph: Graph, operators: Collection[str]) -> Quantization:
    """Integers for the large constant weights of nodes of these operators, and for tables that a Gather reads; all else is float.

    A node whose weights are not finite, not constant or few stays as it is.
    """
    nodes = tuple(node for node in graph.nodes if node.op in operators and _bears_it(graph, node))
    tables = {node.output: _table(graph, node) for node in graph.nodes if _reads_table(graph, node)}
    return Quantization(
        activations=tables,
        weights={name: params for node in nodes for name, params in _weights(graph, node)},
        float_nodes=frozenset(node.name for node in graph.nodes if node.output not in tables),
        dynamic=frozenset(node.name for node in nodes),
    )


def _bears_it(graph: Graph, node: Node) -> bool:
    name = weight_name(graph, node)
    if not name or graph.constants[name].dtype.kind != "f" or graph.constants[name].size < FEWEST:
        return False
    plain = node.attributes.get("alpha", 1.0) == 1.0 and node.attributes.get("beta", 1.0) == 1.0
    groups = node.integer("group", 1)
    return plain and (groups == 1 or groups == graph.constants[name].shape[0])


def _weights(graph: Graph, node: Node) -> Iterator[tuple[str, QuantParams]]:
    name = weight_name(graph, node)
    yield name, weight_params(graph.constants[name], output_axis(graph, node))


def _reads_table(graph: Graph, node: Node) -> bool:
    """Whether a node picks rows of a large constant table, as embeddings do."""
    table = graph.constants.get(node.inputs[0]) if node.op == "Gather" else None
    return table is not None and table.dtype == "float32" and table.size >= FEWEST and node.output not in graph.output_names


def _table(graph: Graph, node: Node) -> QuantParams:
    return parameters(min_max(observe(graph.constants[node.inputs[0]])), SCHEME)


LSTM_DEFAULTS: Mapping[str, Attribute] = {"input_forget": 0, "layout": 0, "activations": ("Sigmoid", "Tanh", "Tanh")}


def plain_lstms(graph: Graph) -> frozenset[str]:
    """The LSTMs as most are: constant weights, no peepholes, the usual activations, no clipping. ONNX Runtime has them in int8."""
    return frozenset(node.name for node in graph.nodes if node.op == "LSTM" and _is_plain(graph, node))


def _is_plain(graph: Graph, node: Node) -> bool:
    directions = graph.constants[node.inputs[1]].shape[0] if node.inputs[1] in graph.constants else 0
    special = {key: value for key, value in node.attributes.items() if key not in ("hidden_size", "direction")}
    known = {**LSTM_DEFAULTS, "activations": ("Sigmoid", "Tanh", "Tanh") * directions}
    peepholes = len(node.inputs) > 7 and node.inputs[7] != ""
    usual = all(key in known and known[key] == value for key, value in special.items())
    return usual and not peepholes and all(name in graph.constants for name in node.inputs[1:3])
