"""What each operator of a model does, in the quantities that latency is made of: products, numbers moved, weights read.

Numbers are counted, not bytes: a profile belongs to one precision, and its rates hold the size of a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edgekit.converters.cost import QUANTIZERS, file_macs, node_macs
from edgekit.converters.graph import Graph, Node
from edgekit.converters.tflite_file.read import CUSTOM, Operator, TFLiteFile

FACE = "face"
"""The kind of what happens at the model's inputs and outputs: every number crosses once."""
VIEW = "view"
"""The same numbers under another shape: an operator to call, nothing to move."""
COPY, ELEMENTWISE, FUNCTION = "copy", "elementwise", "function"
CONVOLUTION, DEPTHWISE, PRODUCT = "convolution", "depthwise", "product"
HEAVY = frozenset({"conv", "pointwise", DEPTHWISE, "grouped", "transposed", "dense", PRODUCT, "recurrent"})
"""The kinds that multiply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One operator: its kind, multiply-accumulates, activations read and written, and weights read, all in numbers.

    A convolution reads every number as often as a filter position covers it: seen as the product of an M by K with a K by N
    matrix, `macs` is MNK, `reads` MK, `writes` MN and `weights` NK.
    """

    kind: str
    macs: int = 0
    reads: int = 0
    writes: int = 0
    weights: int = 0


def of_graph(graph: Graph) -> tuple[Work, ...]:
    """The work of an ONNX graph as an engine runs it.

    Q/DQ pairs are part of the operators around them, and a clamp is part of the operator before it: engines fuse both.
    """
    ends = Work(kind=FACE, writes=sum(math.prod(spec.shape) for spec in (*graph.inputs, *graph.outputs)))
    return (ends, *(work for node in graph.nodes if not _fused(graph, node) for work in _of_node(graph, node)))


def of_tflite(file: TFLiteFile) -> tuple[Work, ...]:
    """The work of a TFLite file, whose activations are fused already."""
    ends = Work(kind=FACE, writes=sum(tensor.elements for tensor in file.of((*file.inputs, *file.outputs))))
    return (ends, *(work for operator in file.operators for work in _of_operator(file, operator)))


def kinds(works: Iterable[Work]) -> frozenset[str]:
    """The kinds of work there are."""
    return frozenset(work.kind for work in works)


def _of_node(graph: Graph, node: Node) -> Iterator[Work]:
    kind = _ONNX_KINDS.get(node.op, node.op)
    if kind == VIEW:
        yield Work(kind=VIEW)
        return
    constant = [_source(graph, name) in graph.constants for name in node.inputs]
    sizes = [math.prod(graph.shape(name)) if name else 0 for name in node.inputs]
    macs, reads = node_macs(graph, node), sum(size for size, fixed in zip(sizes, constant, strict=True) if not fixed)
    if kind == CONVOLUTION:
        kernel, groups, channels = _filters(graph, node)
        kind, reads = _convolution(kernel, groups, channels, graph.shape(node.output)[2:]), macs * groups // channels
    yield Work(
        kind=_product(kind, constant),
        macs=macs,
        reads=reads,
        writes=sum(math.prod(graph.shape(name)) for name in node.outputs if name),
        weights=sum(size for size, fixed in zip(sizes, constant, strict=True) if fixed) if macs else 0,
    )


def _of_operator(file: TFLiteFile, operator: Operator) -> Iterator[Work]:
    name = operator.custom_code if operator.op == CUSTOM else operator.op
    kind = _TFLITE_KINDS.get(name, name)
    inputs, outputs = file.of(tuple(i for i in operator.inputs if i >= 0)), file.of(operator.outputs)
    if kind == VIEW:
        yield Work(kind=VIEW)
        return
    macs, reads = file_macs(file, operator), sum(tensor.elements for tensor in inputs if not tensor.constant)
    if kind == CONVOLUTION:
        channels, *kernel, depth = inputs[1].shape
        groups = max(1, inputs[0].shape[-1] // max(depth, 1))
        kind, reads = _convolution(tuple(kernel), groups, channels, outputs[0].shape[1:3]), macs * groups // max(channels, 1)
    if kind == DEPTHWISE:
        reads = macs
    yield Work(
        kind=_product(kind, [tensor.constant for tensor in inputs]),
        macs=macs,
        reads=reads,
        writes=sum(tensor.elements for tensor in outputs),
        weights=sum(tensor.elements for tensor in inputs if tensor.constant) if macs else 0,
    )


def _fused(graph: Graph, node: Node) -> bool:
    """Whether an engine runs the node as part of another."""
    if node.op in QUANTIZERS:
        return _absorbed(graph, node)
    producer = graph.producers.get(_source(graph, node.inputs[0])) if node.inputs else None
    return node.op in ("Relu", "Clip") and producer is not None and producer.op in _FUSING


def _absorbed(graph: Graph, node: Node) -> bool:
    """Whether Q or DQ belongs to an operator that computes on integers, to a constant, or to the interface (which is counted)."""
    if node.op == "QuantizeLinear":
        producer = graph.producers.get(node.inputs[0])
        return producer is None or producer.op in _INTEGER
    source = _source(graph, node.inputs[0])
    return source in graph.constants or all(reader.op in _INTEGER for reader in graph.consumers.get(node.output, ()))


def _source(graph: Graph, name: str) -> str:
    """The tensor that `name` is a quantized or dequantized copy of."""
    while (producer := graph.producers.get(name)) is not None and producer.op in QUANTIZERS:
        name = producer.inputs[0]
    return name


def _filters(graph: Graph, node: Node) -> tuple[tuple[int, ...], int, int]:
    """Kernel size, groups and channels of a convolution."""
    weight = graph.shape(node.inputs[1])
    return weight[2:], node.integer("group", 1), weight[0]


def _convolution(kernel: tuple[int, ...], groups: int, channels: int, pixels: tuple[int, ...]) -> str:
    """A pointwise convolution of a single pixel is a dense layer: all weights for one row."""
    if groups > 1:
        return DEPTHWISE if groups == channels else "grouped"
    if math.prod(kernel) > 1:
        return "conv"
    return "pointwise" if math.prod(pixels) > 1 else "dense"


def _product(kind: str, constant: list[bool]) -> str:
    """A matrix product with weights is a dense layer; one of two activations is not."""
    return "dense" if kind == PRODUCT and any(constant) else kind


_INTEGER = frozenset(
    {
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Softmax"),
        *("AveragePool", "GlobalAveragePool", "MaxPool", "Concat", "Split", "Slice", "Resize", "Gather", "Transpose", "Pad"),
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear"),
    }
)
"""Operators that ONNX Runtime computes on integers between Q/DQ; around others the conversions are work of their own."""
_FUSING = frozenset({"Conv", "Gemm", "MatMul", "Add", "ConvTranspose"})
_ONNX_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Constant", "Shape", "Dropout"), VIEW),
    **dict.fromkeys(("Conv",), CONVOLUTION),
    **dict.fromkeys(("Gemm", "MatMul"), PRODUCT),
    "ConvTranspose": "transposed",
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "recurrent"),
    **dict.fromkeys(
        ("Add", "Mul", "Sub", "Div", "Relu", "Clip", "LeakyRelu", "PRelu", "Abs", "Neg", "Max", "Min"), ELEMENTWISE
    ),
    **dict.fromkeys(
        ("Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Pow", "Erf", "Gelu", "HardSwish", "HardSigmoid", "Softmax", "Elu", "Mish"),
        FUNCTION,
    ),
    **dict.fromkeys(("MaxPool", "AveragePool"), "pool"),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "ReduceSum"), "reduce"),
    **dict.fromkeys(
        (
            *QUANTIZERS,
            "Concat",
            "Slice",
            "Split",
            "Transpose",
            "Pad",
            "Gather",
            "Resize",
            "Upsample",
            "Expand",
            "SpaceToDepth",
            "DepthToSpace",
        ),
        COPY,
    ),
}
_TFLITE_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE"), VIEW),
    "CONV_2D": CONVOLUTION,
    "DEPTHWISE_CONV_2D": DEPTHWISE,
    **dict.fromkeys(("FULLY_CONNECTED", "BATCH_MATMUL"), PRODUCT),
    "TRANSPOSE_CONV": "transposed",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "recurrent",
    **dict.fromkeys(
        (
            "ADD",
            "MUL",
            "SUB",
            "DIV",
            "RELU",
            "RELU6",
            "RELU_N1_TO_1",
            "LEAKY_RELU",
            "PRELU",
            "ABS",
            "NEG",
            "MAXIMUM",
            "MINIMUM",
        ),
        ELEMENTWISE,
    ),
    **dict.fromkeys(
        ("LOGISTIC", "TANH", "EXP", "LOG", "SQRT", "RSQRT", "POW", "GELU", "HARD_SWISH", "SOFTMAX", "ELU"), FUNCTION
    ),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), "pool"),
    **dict.fromkeys(("MEAN", "REDUCE_MAX", "SUM"), "reduce"),
    **dict.fromkeys(
        (
            *(
                "CONCATENATION",
                "STRIDED_SLICE",
                "SLICE",
                "SPLIT",
                "TRANSPOSE",
                "PAD",
                "PADV2",
                "GATHER",
                "QUANTIZE",
                "DEQUANTIZE",
            ),
            *(
                "SPACE_TO_DEPTH",
                "DEPTH_TO_SPACE",
                "RESIZE_NEAREST_NEIGHBOR",
                "RESIZE_BILINEAR",
                "PACK",
                "UNPACK",
                "CAST",
                "BROADCAST_TO",
                "TILE",
                "SPLIT_V",
            ),
        ),
        COPY,
    ),
}
