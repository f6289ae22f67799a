"""What a model costs, counted from its shapes: multiply-accumulates, parameters, and the memory its activations take.

One multiply-accumulate (MAC) is two floating point operations. Only operators that multiply by weights or matrices are
counted; additions, activations and pooling are left out, as is customary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.memory import MemoryPlan, plan
from edgekit.converters.tflite_file.read import CUSTOM, Operator, TFLiteFile

QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
INDEX_TYPES = frozenset({"int64", "int32", "bool", "string", "object"})
"""Types of shapes, axes and masks rather than of weights; a 32-bit bias is left out with them."""


FREE = frozenset(
    {
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Dropout"),
        *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE"),
    }
)
"""Operators that move nothing: the same bytes under another name or shape."""
PICKS = frozenset(
    {
        *("Gather", "GatherND", "GatherElements", "Slice", "Split"),
        *("GATHER", "GATHER_ND", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "EMBEDDING_LOOKUP"),
    }
)
"""Operators that read of their data only what they write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCost:
    """One operator: multiply-accumulates, and the bytes of activations read, of constants read and of results written."""

    op: str
    name: str
    macs: int
    read_bytes: int
    parameter_bytes: int
    written_bytes: int

    @property
    def bytes(self) -> int:
        """All that passes between memory and the processor when nothing is cached."""
        return self.read_bytes + self.parameter_bytes + self.written_bytes


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`ops` counts the operators by type; `memory` says what must be held at once, weights aside."""

    operators: tuple[OperatorCost, ...]
    params: int
    parameter_bytes: int
    memory: MemoryPlan

    @property
    def ops(self) -> Mapping[str, int]:
        """How many operators there are of each type, most frequent first."""
        return _counted(operator.op for operator in self.operators)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole model."""
        return sum(operator.macs for operator in self.operators)

    @property
    def activation_bytes(self) -> int:
        """The peak of the activations."""
        return self.memory.peak_bytes


def graph_cost(graph: Graph) -> Cost:
    """The cost of an ONNX graph with static shapes."""
    used = {name for node in graph.nodes if node.op not in QUANTIZERS for name in node.inputs}
    used |= {node.inputs[0] for node in graph.nodes if node.op in QUANTIZERS}
    weights = [value for name, value in graph.constants.items() if name in used and value.dtype.name not in INDEX_TYPES]
    sizes = _graph_sizes(graph)
    return Cost(
        operators=tuple(_node_cost(graph, node, sizes) for node in graph.nodes),
        params=sum(value.size for value in weights),
        parameter_bytes=sum(value.nbytes for value in weights),
        memory=plan([(node.inputs, node.outputs) for node in graph.nodes], sizes, (spec.name for spec in graph.outputs)),
    )


def tflite_cost(file: TFLiteFile) -> Cost:
    """The cost of a TFLite file."""
    used = {index for operator in file.operators for index in operator.inputs if index >= 0}
    constants = [file.tensors[index] for index in used if file.tensors[index].constant]
    weights = [tensor for tensor in constants if tensor.dtype not in INDEX_TYPES]
    sizes = {str(index): tensor.bytes for index, tensor in enumerate(file.tensors) if not tensor.constant}
    steps = [(map(str, operator.inputs), map(str, operator.outputs)) for operator in file.operators]
    return Cost(
        operators=tuple(_operator_cost(file, operator) for operator in file.operators),
        params=sum(tensor.elements for tensor in weights),
        parameter_bytes=sum(tensor.bytes for tensor in weights),
        memory=plan(steps, sizes, map(str, file.outputs)),
    )


def _node_cost(graph: Graph, node: Node, sizes: Mapping[str, int]) -> OperatorCost:
    constants = [graph.constants[name].nbytes if name in graph.constants else 0 for name in node.inputs]
    return _moved(
        node.op,
        node.name,
        node_macs(graph, node),
        reads=[sizes.get(name, 0) for name in node.inputs],
        constants=constants,
        written=sum(sizes.get(name, 0) for name in node.outputs),
    )


def _operator_cost(file: TFLiteFile, operator: Operator) -> OperatorCost:
    inputs, outputs = file.of(operator.inputs), file.of(operator.outputs)
    return _moved(
        operator.custom_code if operator.op == CUSTOM else operator.op,
        outputs[0].name if outputs else f"operator {operator.index}",
        file_macs(file, operator),
        reads=[0 if tensor.constant else tensor.bytes for tensor in inputs],
        constants=[tensor.bytes if tensor.constant else 0 for tensor in inputs],
        written=sum(tensor.bytes for tensor in outputs),
    )


def _moved(op: str, name: str, macs: int, *, reads: list[int], constants: list[int], written: int) -> OperatorCost:
    """The cost of an operator whose inputs have these sizes, activations and constants apart."""
    if op in FREE:
        reads, constants, written = [], [], 0
    if op in PICKS:
        largest = [min(size, written) for size in (*reads[:1], *constants[:1])]
        reads, constants = [*largest[:1], *reads[1:]], [*largest[1:2], *constants[1:]]
    return OperatorCost(
        op=op, name=name, macs=macs, read_bytes=sum(reads), parameter_bytes=sum(constants), written_bytes=written
    )


def node_macs(graph: Graph, node: Node) -> int:
    """The multiply-accumulates of one node; 0 for operators that are not counted."""
    return _GRAPH_MACS[node.op](graph, node) if node.op in _GRAPH_MACS else 0


def _counted(names: Iterable[str]) -> Mapping[str, int]:
    """How often each occurs, most frequent first, then by name."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _graph_sizes(graph: Graph) -> Mapping[str, int]:
    """Bytes of every computed tensor and input."""
    return {
        name: math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
        for name, spec in graph.specs.items()
        if name not in graph.constants and spec.dtype not in ("", "string")
    }


def _per_output(weight: int, axes: Callable[[tuple[int, ...]], int]) -> Callable[[Graph, Node], int]:
    """MACs of an operator whose every output element sums over some of the weight's dimensions."""
    return lambda graph, node: math.prod(graph.shape(node.output)) * axes(graph.shape(node.inputs[weight]))


def _per_input(graph: Graph, node: Node) -> int:
    """A transposed convolution: every input element is multiplied with all but the first dimension of the weight."""
    return math.prod(graph.shape(node.inputs[0])) * math.prod(graph.shape(node.inputs[1])[1:])


def _matmul(graph: Graph, node: Node) -> int:
    """Every output element sums over the last dimension of the first factor."""
    return math.prod(graph.shape(node.output)) * graph.shape(node.inputs[0])[-1]


def _gemm(graph: Graph, node: Node) -> int:
    rows, columns = graph.shape(node.inputs[0])
    return math.prod(graph.shape(node.output)) * (rows if node.attributes.get("transA") else columns)


def _recurrent(graph: Graph, node: Node) -> int:
    """Both weight matrices of every direction, once per step and sample (ONNX keeps the sequence first, then the batch)."""
    steps = math.prod(graph.shape(node.inputs[0])[:2])
    return steps * (math.prod(graph.shape(node.inputs[1])) + math.prod(graph.shape(node.inputs[2])))


_KERNEL: Callable[[tuple[int, ...]], int] = lambda shape: math.prod(shape[1:])  # noqa: E731
_GRAPH_MACS: Mapping[str, Callable[[Graph, Node], int]] = {
    "Conv": _per_output(1, _KERNEL),
    "ConvInteger": _per_output(1, _KERNEL),
    "QLinearConv": _per_output(3, _KERNEL),
    "ConvTranspose": _per_input,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}


def file_macs(file: TFLiteFile, operator: Operator) -> int:
    """MACs of one TFLite operator; layouts as in the TFLite operator specification (filters OHWI, 1HWC, [out, in]).

    0 for operators that are not counted, and for damaged ones that lack an input.
    """
    inputs, outputs = file.of(operator.inputs), file.of(operator.outputs)
    needed, count = _FILE_MACS.get(operator.op, (0, None))
    if count is None or len(inputs) < needed or not outputs:
        return 0
    return count(operator, [tensor.shape for tensor in inputs], outputs[0].elements)


Shapes = Sequence[tuple[int, ...]]
Count = Callable[[Operator, Shapes, int], int]


def _batch_matmul(operator: Operator, inputs: Shapes, out: int) -> int:
    """Sums over the last dimension of the first factor, or over the one before where that is transposed (option 0)."""
    summed = inputs[0][-2 if operator.option(0, "<b") else -1 :]
    return out * (summed[0] if summed else 1)


def _lstm(operator: Operator, inputs: Shapes, out: int) -> int:
    matrices = sum(math.prod(shape) for shape in inputs[1:9] if len(shape) == 2)
    return math.prod(inputs[0][:2]) * matrices


_FILE_MACS: Mapping[str, tuple[int, Count]] = {
    "CONV_2D": (2, lambda operator, inputs, out: out * math.prod(inputs[1][1:])),
    "CONV_3D": (2, lambda operator, inputs, out: out * math.prod(inputs[1][:-1])),
    "DEPTHWISE_CONV_2D": (2, lambda operator, inputs, out: out * math.prod(inputs[1][1:3])),
    "FULLY_CONNECTED": (2, lambda operator, inputs, out: out * math.prod(inputs[1][1:])),
    "TRANSPOSE_CONV": (3, lambda operator, inputs, out: math.prod(inputs[2]) * math.prod(inputs[1][:3])),
    "BATCH_MATMUL": (2, _batch_matmul),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (9, _lstm),
}
"""By operator: how many inputs it needs, and its multiply-accumulates from their shapes and the output's elements."""
