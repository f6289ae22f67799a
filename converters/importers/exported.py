"""Models that their own framework exports: a process of its own does it, and leaves ONNX and the framework's answers behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.core import process
from edgekit.core.errors import InputError, MissingDependency
from edgekit.core.files import sha256_bytes
from edgekit.core.schema import Source

TIMEOUT_S = 1800.0


def export(worker: str, request: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Run the module `worker` on `request`; it writes `model.onnx` and `answers.npz` into `folder`. Returns its notes.

    Raises `InputError` and `MissingDependency` with what the worker has to say, `EdgekitError` when it dies.
    """
    done = process.run([sys.executable, "-m", worker, str(folder)], timeout_s=TIMEOUT_S, stdin=json.dumps(request))
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "error" in answer:
        kind = MissingDependency if answer.get("missing") else InputError
        raise kind(str(answer["error"]), str(answer.get("hint", "")))
    return tuple(str(note) for note in answer.get("notes", ()))


def imported(folder: Path, *, name: str, data: bytes, framework: str, notes: Sequence[str] = ()) -> Imported:
    """What a worker left in `folder`; `data` is the source's own bytes, empty for a model that has no file."""
    found = onnx_file.load(folder / "model.onnx")
    model = (folder / "model.onnx").read_bytes()
    whole = data or model
    source = Source(name=name, sha256=sha256_bytes(whole), bytes=len(whole), framework=framework)
    with np.load(folder / "answers.npz", allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    feed = {spec.name: arrays[f"input_{place}"] for place, spec in enumerate(found.graph.inputs)}
    told = {spec.name: arrays[f"output_{place}"] for place, spec in enumerate(found.graph.outputs)}
    return replace(found, source=source, model=found.model or model, answers=((feed, told),), notes=(*notes, *found.notes))
