"""Many models, many targets: every cell is tried, a failed one never stops the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from edgekit.conversion.language import convert_language, is_language_model
from edgekit.conversion.made import Conversion, FloatCost, Pace
from edgekit.conversion.request import Request
from edgekit.conversion.routes import package_task
from edgekit.core.errors import EdgekitError
from edgekit.core.profiles import find
from edgekit.core.progress import Progress
from edgekit.core.schema import Accuracy, Device, Parity, Recovery
from edgekit.mediapipe_task import is_task

Boards: TypeAlias = Mapping[str, tuple[str, Device]]
"""By the name of its profile: what the user called it, and the board."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact, in the words of the command line's JSON contract."""

    path: str
    target: str
    precision: str
    format: str
    bytes: int
    sha256: str
    parity: Parity
    accuracy: Accuracy | None
    seconds: float
    float_layers: tuple[str, ...]
    recovery: Recovery | None
    float_cost: FloatCost | None
    pace: Pace | None
    notes: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One cell that could not be made, and why."""

    model: str
    target: str
    error: str
    hint: str
    exit_code: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every cell."""

    artifacts: tuple[Cell, ...]
    failed: tuple[Failure, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing failed, else the first failure's exit code."""
        return self.failed[0].exit_code if self.failed else 0


def convert_all(models: Sequence[Path], targets: Sequence[str], request: Request, progress: Progress) -> Batch:
    """Convert each model for each target. A target that does not exist is an error before anything starts.

    Names of the same board (`rpi`, `rpi5`) are one target.
    """
    boards: dict[str, tuple[str, Device]] = {}
    for target in targets:
        device = find(target.strip())
        boards.setdefault(device.name, (target.strip(), device))
    cells = [cell for model in models for cell in _converted(model, boards, request, progress)]
    return Batch(
        artifacts=tuple(cell for cell in cells if isinstance(cell, Cell)),
        failed=tuple(cell for cell in cells if isinstance(cell, Failure)),
    )


def _converted(model: Path, boards: Boards, request: Request, progress: Progress) -> Iterator[Cell | Failure]:
    """One model for every board, by its own route."""
    if is_language_model(model):
        language = request.of_language()
        return _cells(model, boards, lambda device: Conversion(artifact=convert_language(model, device, language, progress)))
    if is_task(model, request.recipe.format):
        return _cells(model, boards, lambda device: Conversion(artifact=package_task(model, device, request)))
    return _network(model, boards, request, progress)


def _network(model: Path, boards: Boards, request: Request, progress: Progress) -> Iterator[Cell | Failure]:
    """A network, of which the boards share what is learnt of its source."""
    try:
        from edgekit.conversion.pipeline import convert_one, source_for

        source = source_for(model, request, progress, [device for _, device in boards.values()])
    except EdgekitError as error:
        yield from (_failure(model, target, error) for target, _ in boards.values())
        return
    yield from _cells(model, boards, lambda device: convert_one(source, device, request, progress))


def _cells(model: Path, boards: Boards, convert: Callable[[Device], Conversion]) -> Iterator[Cell | Failure]:
    for target, device in boards.values():
        started = time.monotonic()
        try:
            yield _cell(convert(device), target, time.monotonic() - started)
        except EdgekitError as error:
            yield _failure(model, target, error)


def _cell(conversion: Conversion, target: str, seconds: float) -> Cell:
    artifact, manifest = conversion.artifact, conversion.artifact.manifest
    model = manifest.file("model")
    if model is None or manifest.parity is None:
        raise EdgekitError(f"{artifact.path} was written without a model or a parity")
    return Cell(
        path=str(artifact.path),
        target=target,
        precision=manifest.target.precision,
        format=manifest.target.format,
        bytes=model.bytes,
        sha256=artifact.sha256,
        parity=manifest.parity,
        accuracy=manifest.accuracy,
        seconds=round(seconds, 3),
        float_layers=manifest.float_layers,
        recovery=manifest.recovery,
        float_cost=conversion.float_cost,
        pace=conversion.pace,
        notes=manifest.notes,
    )


def _failure(model: Path, target: str, error: EdgekitError) -> Failure:
    return Failure(model=str(model), target=target, error=error.message, hint=error.hint, exit_code=error.exit_code)
