"""ONNX for ONNX Runtime: the clean graph in float, with half-precision weights, or with integers as its CPU kernels fuse them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.graph_onnx import element_type, to_bytes
from edgekit.converters.lower.base import Lowered
from edgekit.converters.lower.onnx_dynamic import with_dynamic_range, with_integer_lstms
from edgekit.converters.lower.opset import at_opset
from edgekit.converters.names import Names
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.qdq import dress, dressing_of
from edgekit.converters.quantize.ranges.weights import weight_name
from edgekit.converters.quantize.rules.roles import HEAVY, absorbed_by, is_float
from edgekit.core.errors import ConversionError, Unsupported
from edgekit.core.schema import Port, Precision

MODEL = "model.onnx"
HALF_MAX = float(np.finfo(np.float16).max)
WIDELY_READ = 20
"""What ONNX Runtime 1.17 reads, the oldest that edgekit installs (onnxruntime docs/reference/compatibility)."""
SMALL = 32
"""Constants with fewer values stay float32: scales and bounds weigh nothing and matter much."""

NOTHING_DYNAMIC = "dynamic range has nothing to do: ONNX Runtime has it for products with large matrices, embeddings and LSTMs, not for convolutions"
HALF_NOTE = "weights are stored in half precision and computed with in float32, for ONNX Runtime's CPU kernels are float32"


def lower(graph: Graph, *, precision: Precision, quantization: Quantization | None = None) -> Lowered:
    """The ONNX file of `graph` at a precision; inputs and outputs keep their names, shapes and float32.

    "int8" needs the `Quantization` of scheme "ort-x86" or "ort-arm", "dynamic" none. Raises `ConversionError` without one, or when the
    precision is not one that ONNX Runtime's CPU provider knows.
    """
    plain, notes = widely_read(graph)
    if precision == "fp32":
        return _lowered(graph, plain, notes=notes)
    if precision == "fp16":
        return _lowered(graph, with_half_weights(plain), notes=(*notes, HALF_NOTE))
    if precision == "dynamic":
        dynamic, found = with_dynamic_range(plain)
        if not found.dynamic and not found.activations and dynamic.nodes == plain.nodes:
            raise Unsupported(NOTHING_DYNAMIC, "--precision int8 with --calibration DATA, or --format tflite")
        return _lowered(graph, dynamic, float_layers=_float_layers(plain, found), notes=notes)
    if precision != "int8" or quantization is None:
        reason = (
            "int8 needs a quantization" if precision == "int8" else f"there is no {precision} form of ONNX for ONNX Runtime"
        )
        raise ConversionError(reason, "choose fp32, fp16, dynamic, or int8 with calibration data")
    integers = with_integer_lstms(with_integers(plain, quantization), quantization.dynamic)
    return _lowered(graph, integers, float_layers=_float_layers(graph, quantization), notes=notes)


def widely_read(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """The graph in an operator set that ONNX Runtime has read since 1.17, and a note where one of its nodes prevents that."""
    if graph.opset <= WIDELY_READ:
        return graph, ()
    try:
        return at_opset(graph, WIDELY_READ), ()
    except Unsupported as refusal:
        return graph, (f"needs an ONNX Runtime that reads operator set {graph.opset}: {refusal.message}",)


def with_integers(graph: Graph, quantization: Quantization) -> Graph:
    """The graph with a Q/DQ pair on every quantized tensor, but none between a computation and the clamp that it absorbs."""
    bare = frozenset(name for name in quantization.activations if absorbed_by(graph, name) is not None)
    own, known = with_weights_of_their_own(graph, quantization)
    return dress(own, dressing_of(known, reads=lambda node, name: True, integers=True, bare=bare))


def with_weights_of_their_own(graph: Graph, quantization: Quantization) -> tuple[Graph, Quantization]:
    """The graph without a quantized weight that several layers read: each of the others gets a copy.

    ONNX Runtime's exact sums on x86 without dot products (session.x64quantprecision) turn weights of int8 into uint8 layer by layer,
    and do not load a model in which the second layer finds them, or their zero point, gone.
    """
    names, constants, weights = Names(graph), {}, dict(quantization.weights)
    nodes: list[Node] = []
    taken: set[str] = set()
    for node in graph.nodes:
        name = weight_name(graph, node) if node.op in HEAVY and node.name not in quantization.float_nodes else ""
        if name in quantization.weights and name in taken:
            copy = names.free(f"{name}/{node.name}")
            constants[copy], weights[copy] = graph.constants[name], quantization.weights[name]
            node = replace(node, inputs=tuple(copy if each == name else each for each in node.inputs))
        nodes.append(node)
        taken.add(name)
    return graph.with_nodes(nodes, constants=constants), replace(quantization, weights=weights)


def with_half_weights(graph: Graph) -> Graph:
    """The graph with its large float32 constants stored as float16 behind a Cast; those beyond float16's range stay."""
    names = Names(graph)
    halves = {name: value for name, value in graph.constants.items() if _fits_half(value)}
    stored = {name: names.free(f"{name}/float16") for name in halves}
    casts = [
        Node(
            op="Cast",
            name=names.free(f"{name}/Cast"),
            inputs=(stored[name],),
            outputs=(name,),
            attributes={"to": element_type("float32")},
        )
        for name in halves
    ]
    kept = {name: value for name, value in graph.constants.items() if name not in halves}
    small = {stored[name]: value.astype(np.float16) for name, value in halves.items()}
    return replace(graph, constants=kept).with_nodes((*casts, *graph.nodes), constants=small)


def _fits_half(value: Array) -> bool:
    return value.dtype == np.float32 and value.size >= SMALL and bool(np.abs(value).max() <= HALF_MAX)


def _float_layers(graph: Graph, quantization: Quantization) -> tuple[str, ...]:
    """Names of the nodes that compute in float."""
    nodes = (node for node in graph.nodes if node.name in quantization.float_nodes - quantization.dynamic)
    return tuple(node.name for node in nodes if any(is_float(graph, name) for name in node.outputs))


def _lowered(source: Graph, graph: Graph, *, float_layers: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> Lowered:
    return Lowered(
        files={MODEL: to_bytes(graph)},
        roles={MODEL: "model"},
        inputs=tuple(Port(source=spec, engine=spec) for spec in source.inputs),
        outputs=tuple(Port(source=spec, engine=spec) for spec in source.outputs),
        float_layers=float_layers,
        notes=notes,
    )
