"""Which stored profiles speak about a model on a board, and what each predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import artifact as artifacts
from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.converters.tflite_file import read as tflite_file
from edgekit.core.errors import Unsupported
from edgekit.core.schema import Artifact, Precision
from edgekit.prediction.predict import Interval, predict
from edgekit.prediction.profile import LatencyProfile
from edgekit.prediction.work import Work, of_graph, of_tflite

RUNTIMES = {".tflite": "litert", ".onnx": "onnxruntime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one profile predicts; no interval when it cannot know."""

    runtime: str
    version: str
    precision: Precision
    threads: int
    power_mode: str
    interval: Interval | None


def forecasts(
    path: Path, device: str, profiles: Sequence[LatencyProfile], *, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> tuple[Forecast, ...]:
    """The latency of a model file, or of an artifact folder, by every profile of that device that fits its format and precision.

    A plain model file is taken for float unless its tensors are quantized. Raises what reading the model raises.
    """
    file, precision = _model(path)
    fitting = [one for one in profiles if one.device == device and one.runtime == RUNTIMES.get(file.suffix)]
    if not fitting:
        return ()
    works, found = works_of(file, shapes=shapes)
    wanted = precision or found
    return tuple(
        Forecast(
            runtime=one.runtime,
            version=one.version,
            precision=one.precision,
            threads=one.threads,
            power_mode=one.power_mode,
            interval=predict(works, one),
        )
        for one in fitting
        if one.precision == wanted
    )


def works_of(file: Path, *, shapes: Mapping[str, tuple[int, ...]] | None = None) -> tuple[tuple[Work, ...], Precision]:
    """What a model file does, and whether it does it in integers. `Unsupported` for another kind of file."""
    if file.suffix == ".tflite":
        parsed = tflite_file.load(file)
        return of_tflite(parsed), "int8" if any(tensor.scale for tensor in parsed.tensors) else "fp32"
    if file.suffix == ".onnx":
        graph = onnx_file.load(file, input_shapes=shapes or {}).graph
        return of_graph(graph), "int8" if any(node.op == "DequantizeLinear" for node in graph.nodes) else "fp32"
    raise Unsupported(f"{file.name!r} is neither an .onnx nor a .tflite file", "what made it?")


def _model(path: Path) -> tuple[Path, Precision | None]:
    """The model file, and the precision when an artifact says it."""
    if not path.is_dir():
        return path, None
    found: Artifact = artifacts.read(path)
    return found.file("model"), found.manifest.target.precision
