"""What an accelerator would take of an artifact, told from its files: an Edge TPU by its tables, TensorRT by its parser's."""

from __future__ import annotations

from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.converters.lower.edgetpu import CAVEAT, first_off_tpu, placements
from edgekit.converters.lower.tensorrt import PAIRS_OPSET
from edgekit.converters.lower.tensorrt_build import parse_version
from edgekit.converters.lower.tensorrt_parser import readable
from edgekit.core.errors import EdgekitError
from edgekit.core.schema import Artifact
from edgekit.emulate.gate import Check


def checks(artifact: Artifact) -> tuple[Check, ...]:
    """The rules of the artifact's format; none for what runs on the processor alone."""
    rule = {"edgetpu": _edgetpu, "tensorrt": _tensorrt}.get(artifact.manifest.target.format)
    return (rule(artifact),) if rule else ()


def _edgetpu(artifact: Artifact) -> Check:
    """Every operator on the accelerator, but for what is in float by design."""
    placed = placements(artifact.file("model").read_bytes())
    stray = first_off_tpu(placed)
    mapped = sum(place.on_tpu for place in placed)
    said = f"{mapped} of {len(placed)} operators map onto the Edge TPU, {CAVEAT}"
    if stray is not None:
        said = f"{stray.op} at {stray.name!r} stays on the CPU ({stray.reason}); {said}"
    return Check(name=f"Edge TPU operators of {artifact.path.name}", ok=stray is None, said=said)


def _tensorrt(artifact: Artifact) -> Check:
    """Every operator is one that the board's TensorRT documents to read. Whether it builds an engine, only the board can say."""
    target = artifact.manifest.target
    name = f"TensorRT {target.version} dialect of {artifact.path.name}"
    graph = onnx_file.load(artifact.file("model")).graph
    try:
        readable(graph, parse_version(target.version), least=PAIRS_OPSET)
    except EdgekitError as exc:
        return Check(name=name, ok=False, said=exc.message)
    return Check(name=name, ok=True, said=f"its parser documents all {len(graph.nodes)} operators")
