"""Calibration models as artifacts of this very converter, for the engines that are here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgekit import artifact as artifacts
from edgekit.conversion.describe import describe
from edgekit.conversion.lowering import lower, prepare
from edgekit.conversion.pipeline import source_for
from edgekit.conversion.request import Request
from edgekit.conversion.source import SourceModel
from edgekit.converters.graph import Array
from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Artifact, Recipe, Target

FORMATS = {"litert": "tflite", "onnxruntime": "onnx"}
"""The format that each runtime's calibration models are in: the runtimes that can be calibrated."""
_SAMPLES = 4


@contextmanager
def made(
    models: dict[str, bytes], targets: Sequence[Target], progress: Progress = silent
) -> Iterator[dict[str, list[Artifact]]]:
    """Every model (name -> ONNX bytes) for every target, in a folder that goes away with the block.

    They are not compared with their sources: nobody uses their answers.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-calibration-") as folder:
        place, found = Path(folder), {}
        for count, (name, data) in enumerate(models.items()):
            progress(Event(stage="build calibration models", done=count, total=len(models)))
            found[name] = calibration_artifacts(name, data, targets, place)
        yield found


def calibration_artifacts(name: str, data: bytes, targets: Sequence[Target], place: Path) -> list[Artifact]:
    """One calibration model for every target, in the folder `place`."""
    model = place / f"{name}.onnx"
    model.write_bytes(data)
    source = source_for(model, Request(calibration=_samples(data)))
    return [written(source, target, place / f"{name}.{target.format}.{target.precision}") for target in targets]


def _samples(data: bytes) -> list[dict[str, Array]]:
    dims = need("onnx").load_from_string(data).graph.input[0].type.tensor_type.shape.dim
    generator = np.random.default_rng(0)
    return [{"input": generator.random([dim.dim_value for dim in dims], np.float32)} for _ in range(_SAMPLES)]


def written(source: SourceModel, target: Target, path: Path) -> Artifact:
    """A model for one target, not compared with its source: what is timed need not be right."""
    recipe = Recipe(precision=target.precision, format=target.format)
    built = lower(source, target, recipe, prepare(source, target, silent), silent)
    manifest = describe(source, target, built, built.lowered.files, notes=(), licence="")
    return artifacts.write(path, manifest, built.lowered.files)
