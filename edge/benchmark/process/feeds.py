"""What a benchmark feeds a model: the artifact's own recorded sample, else seeded numbers that fit its inputs."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import ArtifactError
from edgekit.core.schema import Artifact, Preprocess, TensorSpec

Array = NDArray[Any]
SEED = 20


def feed_for(artifact: Artifact) -> tuple[Mapping[str, Array], Literal["golden", "random"]]:
    """One input per name in the source model's shape and type, and where it came from.

    Raises `ArtifactError` when the artifact has a golden file that cannot be read or lacks an input.
    """
    specs = tuple(port.source for port in artifact.manifest.inputs)
    if artifact.manifest.file("golden") is not None:
        return _golden(artifact.file("golden"), specs), "golden"
    generator = np.random.default_rng(SEED)
    return {spec.name: random_input(spec, artifact.manifest.preprocess, generator) for spec in specs}, "random"


def random_input(spec: TensorSpec, preprocess: Preprocess | None, generator: np.random.Generator) -> Array:
    """Numbers that the input may hold: pixels through its preprocessing, else [0, 1); integers and booleans are zero.

    Zero is an index that every table has, which no other integer is.
    """
    if np.dtype(spec.dtype).kind != "f":
        return np.zeros(spec.shape, spec.dtype)
    values = generator.random(spec.shape, np.float32)
    if preprocess is not None and preprocess.input == spec.name:
        values = (values * 255 * preprocess.scale - np.mean(preprocess.mean)) / np.mean(preprocess.std)
    return values.astype(spec.dtype)


def _golden(path: Path, specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {spec.name: arrays[f"input/{spec.name}/0"] for spec in specs}
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as exc:
        raise ArtifactError(
            f"golden file {path.name!r} has no first sample for every input: {exc}", "convert the model again"
        ) from exc
