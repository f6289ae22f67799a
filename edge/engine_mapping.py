"""What a board's engine would do with a model: which operators in integers, which in float, and what it does not read at all."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower import dla
from edgekit.converters.lower.tensorrt_build import parse_version
from edgekit.converters.lower.tensorrt_parser import readable
from edgekit.converters.quantize.rules.roles import HEAVY, is_float
from edgekit.converters.quantize.rules.schemes import DIALECTS, Dialect, SchemeName
from edgekit.converters.quantize.rules.tensorrt import excluded
from edgekit.core.errors import EdgekitError
from edgekit.core.schema import Device, Engine, Precision

OPSET = 13


@dataclass(frozen=True, kw_only=True)
class DlaMapping:
    """What one of the board's deep learning accelerators would take: `taken` of `counted` nodes in `pieces` loadables; the GPU
    gets `left` (name, operator, reason)."""

    counted: int
    taken: int
    pieces: int
    left: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class EngineMapping:
    """How `runtime` would run the model at `precision`, its best. Of `counted` operators (for TensorRT those with weights to
    multiply, whose neighbours fuse with them) all but `floats` (name, operator) compute in integers; `refused` says why it
    cannot run the model at all."""

    runtime: str
    version: str
    precision: Precision
    counted: int
    floats: tuple[tuple[str, str], ...] = ()
    refused: str = ""
    dla: DlaMapping | None = None


def engine_mapping(graph: Graph, device: Device) -> EngineMapping:
    """The mapping for the device's first engine, before any calibration: by operators and shapes alone."""
    engine = device.engines[0]
    precision = engine.precisions[0]
    dialect = DIALECTS[_scheme(engine)]
    nodes = [node for node in graph.nodes if _counts(graph, node, dialect)]
    floats = [node for node in nodes if precision != "int8" or not _in_integers(graph, node, dialect)]
    return EngineMapping(
        runtime=engine.runtime,
        version=engine.version,
        precision=precision,
        counted=len(nodes),
        floats=tuple((node.name, node.op) for node in floats),
        refused=_refused(graph, engine),
        dla=_dla(graph, device, engine),
    )


def _scheme(engine: Engine) -> SchemeName:
    if engine.format == "onnx":
        return "ort-arm" if engine.dialect == "arm" else "ort-x86"
    schemes: dict[str, SchemeName] = {"tensorrt": "tensorrt", "edgetpu": "edgetpu"}
    return schemes.get(engine.format, "tflite")


def _counts(graph: Graph, node: Node, dialect: Dialect) -> bool:
    """Whether the node computes on floats at all, and is one that this dialect looks at."""
    return any(is_float(graph, name) for name in node.inputs) and (not dialect.heavy_inputs_only or node.op in HEAVY)


def _in_integers(graph: Graph, node: Node, dialect: Dialect) -> bool:
    return node.op in dialect.operators and not (dialect.heavy_inputs_only and excluded(graph, node))


def _refused(graph: Graph, engine: Engine) -> str:
    if engine.runtime != "tensorrt":
        return ""
    try:
        readable(graph, parse_version(engine.version), least=OPSET)
    except EdgekitError as refusal:
        return refusal.message
    return ""


def _dla(graph: Graph, device: Device, engine: Engine) -> DlaMapping | None:
    """The mapping for boards that have a DLA, under a TensorRT that can use it."""
    has = any(accelerator.kind == "dla" for accelerator in device.accelerators)
    if not has or engine.runtime != "tensorrt" or not dla.available(parse_version(engine.version)):
        return None
    placed = dla.placements(graph)
    left = tuple((place.name, place.op, place.reason) for place in placed if not place.on_dla)
    return DlaMapping(counted=len(placed), taken=len(placed) - len(left), pieces=dla.pieces(graph, placed), left=left)
