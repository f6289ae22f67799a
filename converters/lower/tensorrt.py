"""ONNX as TensorRT wants it, with what the board needs to build its engine: recipe and calibration cache."""

from __future__ import annotations

from edgekit.converters.graph import Graph, Node
from edgekit.converters.graph_onnx import to_model
from edgekit.converters.lower.base import Lowered
from edgekit.converters.lower.half import in_half
from edgekit.converters.lower.half_range import summary, unsafe, within
from edgekit.converters.lower.sparse import sparse_nodes
from edgekit.converters.lower.tensorrt_build import (
    CACHE,
    MODEL,
    RECIPE,
    BuildRecipe,
    build_recipe,
    cache_bytes,
    parse_version,
    recipe_bytes,
)
from edgekit.converters.lower.tensorrt_parser import readable
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.qdq import dress, dressing_of
from edgekit.converters.quantize.rules.roles import HEAVY
from edgekit.converters.quantize.rules.tensorrt import AVERAGES, shortcuts
from edgekit.core.errors import ConversionError
from edgekit.core.schema import Port, Precision

PAIRS_OPSET, HALF_QDQ_OPSET = 13, 19
"""The first operator sets whose QuantizeLinear works per channel, and takes float16."""
UNPROVEN = "built and timed nowhere yet: that TensorRT parses this file, which kernels it picks and how fast they are, only the board can show"
ROUNDED_THERE = "the file is float32 and the board computes in half precision: parity measured here is without that rounding"
NOTHING = "no layer is one that TensorRT computes faster in int8; the engine is half precision throughout"


def lower(
    graph: Graph,
    *,
    precision: Precision,
    version: str,
    quantization: Quantization | None = None,
    calibration: Calibration | None = None,
) -> Lowered:
    """The ONNX file, recipe and calibration cache for TensorRT `version` ("10.3", "8.5.2"); float32 inputs and outputs.

    "int8" needs the `Quantization` of scheme "tensorrt". From 10.12 on every type stands in the file (half precision with
    Q/DQ, and float32 where the calibration shows that half could overflow); before, the file is float32 with Q/DQ and flags
    choose. Raises `Unsupported` for versions before 8.0 and for graphs that
    its parser's operator set cannot say; `ConversionError` for int8 without a quantization.
    """
    if precision == "int8" and quantization is None:
        raise ConversionError("int8 needs a quantization", "choose fp32, fp16 or int8 with calibration data")
    integers = quantization if precision in ("int8", "mixed") else None
    typing = build_recipe(precision, version).typing
    half = typing == "strong" and precision != "fp32"
    plain = readable(graph, parse_version(version), least=HALF_QDQ_OPSET if half and integers is not None else PAIRS_OPSET)
    full = within(plain, unsafe(graph, calibration)) if precision != "fp32" else {}
    sparse = sparse_nodes(graph)
    recipe = build_recipe(precision, version, sparse=bool(sparse), float32_layers=tuple(full))
    dressed = with_pairs(plain, integers) if integers is not None else plain
    files = {MODEL: _bytes(in_half(dressed, full=full) if half else dressed), RECIPE: recipe_bytes(recipe)}
    roles = {MODEL: "model", RECIPE: "recipe"}
    if integers is not None and calibration is not None and recipe.typing == "weak":
        files[CACHE], roles[CACHE] = cache_bytes(calibration, version), "calibration-cache"
    return Lowered(
        files=files,
        roles=roles,
        inputs=tuple(Port(source=spec, engine=spec) for spec in graph.inputs),
        outputs=tuple(Port(source=spec, engine=spec) for spec in graph.outputs),
        float_layers=_float_layers(graph, integers),
        notes=tuple(note for note in (*_notes(recipe, integers), _sparsity(graph, sparse), summary(plain, full)) if note),
    )


def uses_ranges(precision: Precision) -> bool:
    """Whether a calibration makes a difference: for integers, and for what must not be in half precision."""
    return precision != "fp32"


def with_pairs(graph: Graph, quantization: Quantization) -> Graph:
    """The graph with Q/DQ on what heavy nodes, averages and residual shortcuts read, and on float weights; biases stay float."""
    skip = shortcuts(graph, quantization.float_nodes)

    def reads(node: Node, name: str) -> bool:
        heavy = node.op in HEAVY and node.name not in quantization.float_nodes
        return heavy or node.op in AVERAGES or skip.get(node.name) == name

    return dress(graph, dressing_of(quantization, reads=reads, integers=False))


def _bytes(graph: Graph) -> bytes:
    """The file, in the format version of its operator set's time: 7 with 13, 8 with 15, 9 with 19 (onnx docs/Versioning.md)."""
    model = to_model(graph)
    model.ir_version = 9 if graph.opset >= 19 else 8 if graph.opset >= 15 else 7
    return bytes(model.SerializeToString(deterministic=True))


def _float_layers(graph: Graph, quantization: Quantization | None) -> tuple[str, ...]:
    """Heavy nodes left out of int8."""
    if quantization is None:
        return ()
    return tuple(node.name for node in graph.nodes if node.op in HEAVY and node.name in quantization.float_nodes)


def _sparsity(graph: Graph, sparse: tuple[str, ...]) -> str:
    """Symmetric integers keep zeros zero, so what was sparse is sparse in every precision."""
    heavy = sum(node.op in HEAVY for node in graph.nodes)
    return (
        f"{len(sparse)} of {heavy} heavy layers have two-of-four sparse weights; GPUs since Ampere may skip their zeros"
        if sparse
        else ""
    )


def _notes(recipe: BuildRecipe, quantization: Quantization | None) -> tuple[str, ...]:
    told = f"for TensorRT {recipe.tensorrt}, {recipe.typing}ly typed; the engine is built on the board"
    rounded = recipe.typing == "weak" and recipe.precision != "fp32"
    return (
        told,
        *((ROUNDED_THERE,) if rounded else ()),
        *((NOTHING,) if quantization is not None and not quantization.weights else ()),
        UNPROVEN,
    )
