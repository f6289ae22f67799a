"""What is in a model file or an artifact: its face, its operators, what it costs, and where an Edge TPU would run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekit import artifact
from edgekit.converters.cost import QUANTIZERS, Cost, graph_cost, tflite_cost
from edgekit.converters.graph import Graph
from edgekit.converters.importers import saved_model
from edgekit.converters.importers.base import Imported
from edgekit.converters.lower import edgetpu, tflite
from edgekit.converters.lower.edgetpu import ParameterCache, Placement
from edgekit.converters.optimise import optimise
from edgekit.converters.tflite_file import read as tflite_file
from edgekit.converters.tflite_file.read import Tensor, TFLiteFile
from edgekit.core import profiles
from edgekit.core.errors import ArtifactError, InputError, NotFound, Unsupported
from edgekit.core.schema import Artifact, Device, TensorSpec
from edgekit.engine_mapping import EngineMapping, engine_mapping
from edgekit.formats import import_model
from edgekit.roofline import Standing, rank

EDGETPU = "edgetpu"
TFLITE = ".tflite"


@dataclass(frozen=True, kw_only=True)
class TpuMapping:
    """Where the operators run on an Edge TPU. `as_int8` says that a float model was judged as if it were quantized."""

    placements: tuple[Placement, ...]
    cache: ParameterCache
    as_int8: bool


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found. For an artifact, inputs and outputs are the source model's; `device` is the target asked about, `engine`
    what its engine would do with an ONNX model, and `ranking` where it stands among all boards."""

    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    cost: Cost
    tensor_names: Mapping[str, str] = field(default_factory=dict)
    """What the memory plan calls a tensor -> its name, where these differ."""
    mapping: TpuMapping | None = None
    engine: EngineMapping | None = None
    ranking: tuple[Standing, ...] = ()
    artifact: Artifact | None = None
    device: Device | None = None
    notes: tuple[str, ...] = ()


def inspect(
    path: str | Path, *, target: str | None = None, input_shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Inspection:
    """Look into a model file of any framework that is read, a SavedModel folder, or an artifact folder.

    With a `target` that has an Edge TPU a float model is brought into the accelerator's operators and judged as if it were
    quantized; where that is impossible a note says why. Raises `NotFound`, `InputError` for a damaged file and `Unsupported` for
    another kind of file.
    """
    place = Path(path)
    device = profiles.find(target) if target else None
    if not place.exists():
        raise NotFound(f"no file or artifact at {str(place)!r}", "is the path right?")
    if not place.is_dir() and not place.is_file():
        raise InputError(f"{str(place)!r} is neither a file nor a folder", "a pipe or a device cannot be inspected")
    is_artifact = place.is_dir() and not saved_model.is_saved_model(place)
    found = _artifact(artifact.read(place), device) if is_artifact else _file(place, device, input_shapes or {})
    return replace(found, device=device, ranking=rank(found.cost, profiles.devices())) if device else found


def _artifact(found: Artifact, device: Device | None) -> Inspection:
    """The model file's operators and cost behind the manifest's inputs and outputs."""
    manifest = found.manifest
    model = manifest.file("model")
    if model is None:
        raise ArtifactError(f"{found.path.name!r} holds no model file", "convert the model again")
    inside = _file(found.path / model.name, device, {})
    return replace(
        inside,
        path=found.path,
        inputs=tuple(port.source for port in manifest.inputs),
        outputs=tuple(port.source for port in manifest.outputs),
        artifact=found,
    )


def _file(path: Path, device: Device | None, input_shapes: Mapping[str, tuple[int, ...]]) -> Inspection:
    if path.suffix.lower() == TFLITE:
        return _tflite(path, _has_tpu(device))
    return _graph(path, import_model(path, input_shapes), device)


def _tflite(path: Path, for_tpu: bool) -> Inspection:
    data = tflite_file.read(path)
    file = tflite_file.parse(data)
    quantized = any(tensor.scale for tensor in file.tensors) or _compiled(file)
    return Inspection(
        path=path,
        inputs=tuple(_spec(file.tensors[index]) for index in file.inputs),
        outputs=tuple(_spec(file.tensors[index]) for index in file.outputs),
        cost=tflite_cost(file),
        tensor_names={str(index): tensor.name for index, tensor in enumerate(file.tensors)},
        mapping=_mapping(data, as_int8=not quantized) if for_tpu or quantized else None,
    )


def _graph(path: Path, imported: Imported, device: Device | None) -> Inspection:
    """What is in the graph that conversion would start from."""
    mapping, refusal = _tpu_mapping(imported.graph) if _has_tpu(device) else (None, "")
    return Inspection(
        path=path,
        inputs=imported.graph.inputs,
        outputs=imported.graph.outputs,
        cost=graph_cost(imported.graph),
        mapping=mapping,
        engine=_engine(imported.graph, device),
        notes=(*imported.notes, *((f"no form for the Edge TPU: {refusal}",) if refusal else ())),
    )


def _has_tpu(device: Device | None) -> bool:
    return device is not None and any(engine.runtime == EDGETPU for engine in device.engines)


def _engine(graph: Graph, device: Device | None) -> EngineMapping | None:
    """The mapping of a float model on a board without an Edge TPU; that has its own, and a model with Q/DQ has chosen already."""
    chosen = any(node.op in QUANTIZERS for node in graph.nodes)
    return None if device is None or chosen or _has_tpu(device) else engine_mapping(optimise(graph), device)


def _tpu_mapping(graph: Graph) -> tuple[TpuMapping | None, str]:
    """The mapping, or why there is none."""
    try:
        return _mapping(_as_tflite(graph), as_int8=True), ""
    except Unsupported as refusal:
        return None, refusal.message


def _as_tflite(graph: Graph) -> bytes:
    """The model as the Edge TPU's conversion would write it, in float: which operators there are does not depend on that."""
    legal = tflite.legalise(optimise(graph), edgetpu=True).graph
    lowered = tflite.lower(legal, precision="fp32", quantization=None, edgetpu=True)
    return next(lowered.files[name] for name, role in lowered.roles.items() if role == "model")


def _mapping(data: bytes, *, as_int8: bool) -> TpuMapping:
    placed = edgetpu.placements(data, as_int8=as_int8)
    return TpuMapping(placements=placed, cache=edgetpu.parameter_cache(data, as_int8=as_int8), as_int8=as_int8)


def _compiled(file: TFLiteFile) -> bool:
    return any(operator.custom_code == edgetpu.COMPILED for operator in file.operators)


def _spec(tensor: Tensor) -> TensorSpec:
    """A file's tensor as a spec; per-tensor quantization only, which is all that inputs and outputs have."""
    single = len(tensor.scale) == 1
    zero_point = tensor.zero_point[0] if single and tensor.zero_point else 0
    return TensorSpec(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=tensor.scale[0] if single else None,
        zero_point=zero_point if single else None,
    )
