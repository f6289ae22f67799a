"""What a worker does: one cell, from a model file to an artifact's bytes or a reason. Nothing that fails gets out of here."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from edgekit.artifact import MANIFEST
from edgekit.conversion.made import FloatCost
from edgekit.conversion.pipeline import convert_one, source_for
from edgekit.conversion.request import Request
from edgekit.conversion.source import SourceModel
from edgekit.core.errors import EdgekitError, GateFailed, Unsupported
from edgekit.core.profiles import find
from edgekit.sweep.cell import Failed, Wish

SOURCES_KEPT = 1
"""Models that a worker keeps open: the cells of one model follow each other and share its calibration."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A model to open; two with the same key are the same."""

    key: str
    model: Path = field(compare=False)
    target: str = field(compare=False)
    request: Request = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One cell as it is sent to a worker. Paths must mean the same there."""

    key: str
    wish: Wish
    opening: Opening
    request: Request


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What comes back: the artifact's files, manifest included, or why there are none."""

    key: str
    seconds: float
    folder: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    float_cost: FloatCost | None = None
    failed: Failed | None = None


def work(task: Task) -> Outcome:
    """Convert one cell. Every exception becomes a reason: one cell must never stop the others."""
    started = time.monotonic()
    try:
        return replace(_made(task), seconds=_since(started))
    except EdgekitError as error:
        lasting = isinstance(error, GateFailed | Unsupported)
        failed = Failed(error=error.message, hint=error.hint, exit_code=error.exit_code, lasting=lasting)
    except Exception as bug:
        failed = Failed(
            error=f"a bug in edgekit: {type(bug).__name__}: {bug}",
            hint="edgekit convert -vv shows where; please report it",
            exit_code=EdgekitError.exit_code,
            lasting=False,
        )
    return Outcome(key=task.key, seconds=_since(started), failed=failed)


def _made(task: Task) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="edgekit-sweep-") as scratch:
        request = replace(task.request, output=Path(scratch), force=False)
        done = convert_one(_opened(task.opening), find(task.wish.target), request)
        folder = done.artifact.path
        files = {name: (folder / name).read_bytes() for name in (MANIFEST, *(f.name for f in done.artifact.manifest.files))}
    return Outcome(key=task.key, seconds=0.0, folder=folder.name, files=files, float_cost=done.float_cost)


@lru_cache(maxsize=SOURCES_KEPT)
def _opened(opening: Opening) -> SourceModel:
    return source_for(opening.model, opening.request, boards=(find(opening.target),))


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
