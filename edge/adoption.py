"""A TFLite file from elsewhere as an artifact: its own tensors as the face, quantized ones as the floats they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit import __version__
from edgekit import artifact as artifacts
from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import sha256_bytes
from edgekit.core.schema import MANIFEST_VERSION, Artifact, Manifest, Port, Precision, Source, Step, Target, TensorSpec
from edgekit.runtimes.litert import LiteRTSession, open_interpreter
from edgekit.tasks.use import use_by_shape

MODEL_FILE = "model.tflite"
SUFFIX = ".tflite"
COLOURS = 3


def adopt(model: Path, folder: Path, preprocess: Mapping[str, Any] | None = None) -> Artifact:
    """Write `folder` as an artifact around the bytes of `model`, which are not touched. No parity: there is no source.

    `preprocess` replaces what the shapes suggest. Raises `NotFound`, `InputError` for two tensors of one name, and what LiteRT
    complains about (`ArtifactError` for no model, `DeviceError` for an operator it does not have).
    """
    if not model.is_file():
        raise NotFound(f"no model at {str(model)!r}", "is the path right?")
    session = LiteRTSession(open_interpreter(str(model), 1))
    inputs, outputs = tuple(map(_port, map(_counted, session.inputs))), tuple(map(_port, session.outputs))
    session.close()
    for ports in (inputs, outputs):
        _ensure_distinct(model, [port.source.name for port in ports])
    picture, answer = use_by_shape([p.source for p in inputs], [p.source for p in outputs], preprocess or {})
    data = model.read_bytes()
    files = {MODEL_FILE: data}
    manifest = Manifest(
        schema_version=MANIFEST_VERSION,
        name=model.stem,
        target=Target(
            device="host", runtime="litert", format="tflite", precision=_precision((*session.inputs, *session.outputs))
        ),
        runtimes=("litert",),
        files=artifacts.described(files, {MODEL_FILE: "model"}),
        inputs=inputs,
        outputs=outputs,
        source=Source(name=model.name, sha256=sha256_bytes(data), bytes=len(data), framework="tflite"),
        steps=(Step(name="adopt", tool="edgekit", version=__version__),),
        preprocess=picture,
        postprocess=answer,
        notes=("adopted as it came: nothing was converted or compared",),
    )
    return artifacts.write(folder, manifest, files)


def _counted(spec: TensorSpec) -> TensorSpec:
    """A picture of plain bytes, or of integers that stand for them, is one whose scale is 1."""
    picture = len(spec.shape) == 4 and spec.shape[-1] == COLOURS and spec.dtype in ("uint8", "int32")
    return msgspec.structs.replace(spec, scale=1.0, zero_point=0) if picture and spec.scale is None else spec


def _port(spec: TensorSpec) -> Port:
    """Integers with a scale are floats at the face."""
    if spec.scale is None or np.dtype(spec.dtype).kind not in "iu":
        return Port(source=spec, engine=spec)
    return Port(source=TensorSpec(name=spec.name, shape=spec.shape, dtype="float32"), engine=spec)


def _precision(specs: tuple[TensorSpec, ...]) -> Precision:
    return "int8" if any(spec.scale is not None for spec in specs) else "fp32"


def _ensure_distinct(model: Path, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"{model.name!r} has two inputs or outputs called {twice!r}", "give them names of their own and export again"
        )
