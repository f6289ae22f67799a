"""What operators mean to quantization: which ones compute, which only move data, which end in a known range."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.core.errors import ConversionError

HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Multiply-accumulate operators with (usually) constant weights as the second input and a bias as the third."""

MOVES = frozenset(
    {
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Slice", "Split", "Gather", "Expand", "Tile"),
        *("DepthToSpace", "SpaceToDepth", "Pad", "Dropout"),
    }
)
"""The first input's values come out unchanged, elsewhere."""

POOLS = frozenset({"MaxPool", "AveragePool", "Resize", "Upsample"})
"""Outputs lie within the range of the first input."""

JOINS = frozenset({"Concat", "Max", "Min", "Where"})
"""Several inputs whose values come out unchanged."""

CLAMPS = frozenset({"Relu", "Clip"})
COMPUTES = HEAVY | {"Add", "Sub", "Mul", "Div", "BatchNormalization", "GlobalAveragePool", "ReduceMean"}
"""Producers that absorb a clamp which alone reads them: their integers need only span what the clamp lets through."""

ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "PRelu", "Where"})

ELEMENTWISE = (
    ARITHMETIC
    | CLAMPS
    | {"Exp", "Log", "Sqrt", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "HardSwish", "Neg", "Abs", "Floor"}
)

TFLITE_INT8 = (
    (HEAVY | MOVES | POOLS | JOINS | CLAMPS | {"Add", "Sub", "Mul"})
    | {"GlobalAveragePool", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"}
    | {"Sigmoid", "Softmax", "Tanh", "LeakyRelu", "PRelu", "HardSwish", "ArgMax"}
) - {"Expand", "Dropout"}
"""Operators with an int8 kernel in TFLite (tensorflow/lite/g3doc/performance/quantization_spec.md)."""

TFLITE_INT16 = TFLITE_INT8 - {"MatMul", "ReduceSum", "HardSwish", "PRelu", "ArgMax", "Tile", "DepthToSpace", "SpaceToDepth"}
"""Operators with an int16 kernel in TFLite besides (kernels/*.cc: no XNNPACK, but ordinary ones)."""


def data_inputs(graph: Graph, node: Node) -> tuple[str, ...]:
    """The inputs that carry a node's float data: without shapes, indices, conditions, pads, biases and absent inputs."""
    if node.op in HEAVY:
        candidates = node.inputs[:2]
    elif node.op in MOVES | POOLS | CLAMPS:
        candidates = node.inputs[:1]
    elif node.op == "Where":
        candidates = node.inputs[1:]
    else:
        candidates = node.inputs
    return tuple(name for name in dict.fromkeys(candidates) if name and is_float(graph, name))


def is_float(graph: Graph, name: str) -> bool:
    """Whether a tensor holds floating-point numbers."""
    return name in graph.specs and graph.specs[name].dtype.startswith("float")


def bias_of(graph: Graph, node: Node) -> str | None:
    """The constant bias of a heavy node, or None."""
    name = node.inputs[2] if node.op in HEAVY and len(node.inputs) > 2 else ""
    return name if name and name in graph.constants else None


def absorbed_by(graph: Graph, name: str) -> Node | None:
    """The clamp that alone reads a computed tensor, so that the producer's integers can do its work; or None."""
    producer, reader = graph.producers.get(name), graph.sole_consumer(name)
    if producer is None or reader is None or producer.op not in COMPUTES or reader.op not in CLAMPS:
        return None
    return reader if reader.inputs[0] == name else None


def integer(node: Node, name: str, default: int) -> int:
    """An integer attribute, or its default where the node does not carry it."""
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise ConversionError(f"attribute {name!r} of node {node.name!r} is {value!r}, an integer was expected")
    return value
