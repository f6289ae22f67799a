"""Where TensorRT wants Q/DQ: on what heavy operators read, so that each stays one fused kernel with what follows it.

Rules as in NVIDIA's Model Optimizer (modelopt/onnx/quantization) and the TensorRT guide "Working with Quantized Types".
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.ranges.weights import weight_name
from edgekit.converters.quantize.rules.roles import HEAVY, integer

WIDE = 16
ALIGNED = 8
AVERAGES = frozenset({"AveragePool", "GlobalAveragePool"})


def quantized_inputs(graph: Graph, float_nodes: frozenset[str]) -> frozenset[str]:
    """Activations that carry Q/DQ: the data input of every quantized heavy node, residual shortcuts, and what only averages read.

    An average beside other readers (a squeeze-and-excite gate) stays in half precision: a pair for it alone would be a second
    copy of the tensor.
    """
    heavy = [node for node in graph.nodes if node.op in HEAVY and node.name not in float_nodes]
    read = {name for node in heavy for name in node.inputs[:2] if name not in graph.constants}
    averaged = {
        node.inputs[0] for node in graph.nodes if node.op in AVERAGES and heavy and _only_averaged(graph, node.inputs[0])
    }
    return frozenset(read | averaged | set(shortcuts(graph, float_nodes).values()))


def _only_averaged(graph: Graph, name: str) -> bool:
    return name not in graph.output_names and all(node.op in AVERAGES for node in graph.consumers[name])


def shortcuts(graph: Graph, float_nodes: frozenset[str]) -> Mapping[str, str]:
    """For each residual Add (by node name) the input that gets Q/DQ: the shortcut, never the branch that fuses with the Add.

    The branch that fuses comes straight from a quantized Conv which feeds nothing else; where both do, from the deeper one.
    """
    depth = _depths(graph)
    found: dict[str, str] = {}
    for node in graph.nodes:
        fusable = [name for name in node.inputs if node.op == "Add" and _fuses(graph, name, float_nodes)]
        computed = [name for name in node.inputs if name not in graph.constants]
        if fusable and len(set(computed)) == 2:
            main = max(fusable, key=lambda name: depth.get(name, 0))
            found[node.name] = next(name for name in computed if name != main)
    return found


def _fuses(graph: Graph, name: str, float_nodes: frozenset[str]) -> bool:
    producer = graph.producers.get(name)
    quantized = producer is not None and producer.op in {"Conv", "ConvTranspose"} and producer.name not in float_nodes
    return quantized and graph.sole_consumer(name) is not None


def _depths(graph: Graph) -> Mapping[str, int]:
    """The number of nodes on the longest path from an input to each tensor."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        level = 1 + max((depth.get(name, 0) for name in node.inputs), default=0)
        depth |= dict.fromkeys(node.outputs, level)
    return depth


def excluded(graph: Graph, node: Node) -> bool:
    """Whether an int8 kernel would be slower than a half-precision one: odd or tiny channel counts, vector products, attention."""
    if node.op == "Conv" and node.inputs[1] in graph.constants:
        return not _worth_conv(graph, node)
    if node.op in {"MatMul", "Gemm"}:
        return not _worth_product(graph, node)
    return False


def _worth_conv(graph: Graph, node: Node) -> bool:
    """Channel rules: both at least 16; else ungrouped, aligned to 8, square, and first or with one of them at least 16.

    Grouped: outputs aligned to 8 and a kernel of at least 3 by 3.
    """
    weight = graph.constants[node.inputs[1]]
    group = integer(node, "group", 1)
    outputs, inputs, kernel = weight.shape[0], weight.shape[1] * group, weight.shape[2:]
    if group > 1:
        return outputs % ALIGNED == 0 and min(kernel, default=1) >= 3
    if inputs >= WIDE and outputs >= WIDE:
        return True
    aligned = outputs % ALIGNED == 0 or inputs % ALIGNED == 0
    first = node.inputs[0] in {spec.name for spec in graph.inputs}
    return aligned and len(set(kernel)) == 1 and (first or max(inputs, outputs) >= WIDE)


def _worth_product(graph: Graph, node: Node) -> bool:
    """A constant matrix of at least 16 by 16, and more than one vector to multiply it with."""
    name, shape = weight_name(graph, node), graph.shape(node.output)
    if not name or min(graph.constants[name].shape[-2:], default=0) < WIDE:
        return False
    vectors = math.prod(shape[:-1]) if node.inputs[1] == name else shape[-1]
    return vectors > 1
