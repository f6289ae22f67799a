"""What became of a model: accuracy on labelled data and latency in the engines of this machine, source against result."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgekit.benchmark import bench
from edgekit.conversion import convert
from edgekit.conversion.source import SourceModel
from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.core.errors import EdgekitError
from edgekit.core.progress import Progress, silent, staged
from edgekit.core.schema import Value
from edgekit.runtimes.onnxruntime import execute
from edgekit.tasks.evaluate import evaluate

FORMATS = ("onnx", "tflite")
MEDIAN = 50.0


class Latency(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Median of one float inference after the other on this machine, in milliseconds, with the conditions."""

    engine: str
    source_ms: float
    result_ms: float
    samples: int
    machine: str


def accuracy_of(source: SourceModel, graph: Graph, labelled: Path, progress: Progress = silent) -> float:
    """The source's task metric, of another form of it."""
    examinee = replace(source.examinee, run=execute(to_bytes(graph)))
    return evaluate(examinee, source.data(labelled), progress=staged(progress, "evaluate")).value


def latencies(
    source: Path, result: Path, input_shapes: Mapping[str, tuple[int, ...]], *, duration_s: float, progress: Progress = silent
) -> tuple[tuple[Latency, ...], tuple[str, ...]]:
    """(latencies, notes): both models in fp32, measured in turns, in each engine of this machine that takes both."""
    found, notes = [], []
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        for form in FORMATS:
            try:
                pair = [
                    convert(
                        path, target="cpu", precision="fp32", format=form, output=Path(folder) / side, input_shapes=input_shapes
                    ).path
                    for side, path in (("source", source), ("result", result))
                ]
                found.append(_measured(pair, duration_s, progress))
            except EdgekitError as error:
                notes.append(f"not measured as {form}: {error.message}")
    return tuple(found), tuple(notes)


def _measured(pair: list[Path], duration_s: float, progress: Progress) -> Latency:
    report = bench(pair, duration_s=duration_s, restarts=3, progress=progress)
    medians = [next(p.value_ms for p in one.summary.percentiles if p.level == MEDIAN) for one in report.results]
    one, place = report.results[0], report.environment
    return Latency(
        engine=f"{one.engine.runtime} {one.engine.version}".strip(),
        source_ms=medians[0],
        result_ms=medians[1],
        samples=min(result.summary.samples for result in report.results),
        machine=f"{place.cpu}, {place.usable_cores} cores, {place.os}",
    )
