"""A network for one target: lowered, proven, rescued and written; or an error and nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgekit import artifact as artifacts
from edgekit.conversion.candidate import Candidate, Gates, proven
from edgekit.conversion.float_cost import float_cost, pace
from edgekit.conversion.lowering import lower, prepare
from edgekit.conversion.made import Conversion, FloatCost, Pace
from edgekit.conversion.proof import Proof, ensure
from edgekit.conversion.request import TRAINING, Pruning, Request
from edgekit.conversion.rescue import may_mix, mixed, rescued
from edgekit.conversion.shrink import notes_of, shrunk
from edgekit.conversion.source import SourceModel, open_source, source_of
from edgekit.converters.importers.base import Imported
from edgekit.core.errors import GateFailed
from edgekit.core.files import ensure_creatable, ensure_free
from edgekit.core.profiles import find
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Device, Recipe, Target
from edgekit.plan import ON_CPU, plan, runs


def source_for(path: Path, request: Request, progress: Progress = silent, boards: Sequence[Device] = ()) -> SourceModel:
    """The source model as the request wants it, opened once for all these boards."""
    source = open_source(
        path,
        input_shapes=request.input_shapes,
        preprocess=request.preprocess,
        calibration=request.calibration,
        limit=request.recipe.calibration_limit,
        progress=progress,
    )
    return _reduced(source, request.pruning(boards), progress)


def source_in_memory(
    name: str, imported: Imported, request: Request, progress: Progress = silent, boards: Sequence[Device] = ()
) -> SourceModel:
    """The same of a model that no file holds."""
    source = source_of(
        Path(name),
        imported,
        preprocess=request.preprocess,
        calibration=request.calibration,
        limit=request.recipe.calibration_limit,
    )
    return _reduced(source, request.pruning(boards), progress)


def _reduced(source: SourceModel, pruning: Pruning | None, progress: Progress) -> SourceModel:
    return source if pruning is None else shrunk(source, pruning, progress)


def convert_one(source: SourceModel, device: Device, request: Request, progress: Progress = silent) -> Conversion:
    """Try the planned targets in order; the first whose gates hold is written. The last one's failure is the answer."""
    targets = plan(device, request.recipe, calibrated=source.calibratable)
    refused: list[str] = []
    for target in targets[:-1]:
        try:
            return _attempt(source, target, request, tuple(refused), progress)
        except GateFailed as failure:
            refused.append(f"{target.precision} was tried first: {failure.message}")
    return _attempt(source, targets[-1], request, tuple(refused), progress)


def _attempt(source: SourceModel, target: Target, request: Request, refused: tuple[str, ...], progress: Progress) -> Conversion:
    """Lower, prove, rescue what may be rescued, write; nothing is left behind when a step fails."""
    device = find(target.device)
    ensure_free(_path(source, target, device, request), replace=request.force)
    ensure_creatable(request.output)
    gates = Gates(
        labelled=request.evaluate,
        max_drop=request.recipe.max_drop,
        licence=request.licence,
        notes=(*refused, *notes_of(source), *_beside_the_accelerator(device, target)),
    )
    prepared = prepare(source, target, progress)
    found = proven(source, target, lower(source, target, request.recipe, prepared, progress), gates, progress)
    cost: FloatCost | None = None
    if not found.proof.ok and may_mix(target, request.recipe):
        ensure_free(_path(source, mixed(target), device, request), replace=request.force)
        failed, found = found, rescued(source, target, request.recipe, prepared, found, gates, progress)
        cost = float_cost(failed, found, source.golden.feeds[0])
    _ensure(source, found.proof, target)
    beside = _beside_float(source, target, request.recipe, found, progress)
    path = _path(source, found.manifest.target, device, request)
    progress(Event(stage=f"write {path.name}"))
    return Conversion(
        artifact=artifacts.write(path, found.manifest, found.files, replace=request.force), float_cost=cost, pace=beside
    )


def _beside_float(source: SourceModel, target: Target, recipe: Recipe, found: Candidate, progress: Progress) -> Pace | None:
    """How fast the artifact is beside float, for the precisions that may well be slower."""
    if target.precision not in ON_CPU.get(target.runtime, ()):
        return None
    floats = msgspec.structs.replace(target, precision="fp32")
    lowered = lower(source, floats, recipe, prepare(source, floats, progress), progress)
    return pace(found, proven(source, floats, lowered, Gates(), progress), source.golden.feeds[0])


def _ensure(source: SourceModel, proof: Proof, target: Target) -> None:
    """Raise `GateFailed` when a gate is missed; a pruned model that lost too much is told of training."""
    try:
        ensure(proof, target.precision)
    except GateFailed as missed:
        if source.pruned is None or proof.accuracy is None or proof.accuracy.ok:
            raise
        raise GateFailed(missed.message, f"prune less, or train what is left: {TRAINING}") from missed


def _path(source: SourceModel, target: Target, device: Device, request: Request) -> Path:
    return request.output / folder_name(source.path.stem, target, device)


def folder_name(name: str, target: Target, device: Device) -> str:
    """`NAME.TARGET.PRECISION`, with `-FORMAT` when the device usually runs that precision in another format."""
    precision = "int8" if target.precision == "mixed" else target.precision
    usual = next(engine.format for engine in device.engines if precision in runs(engine))
    return f"{name}.{target.device}.{target.precision}" + ("" if usual == target.format else f"-{target.format}")


def _beside_the_accelerator(device: Device, target: Target) -> tuple[str, ...]:
    """A note when the artifact does not run on what the board is bought for."""
    if target.runtime == device.engines[0].runtime:
        return ()
    return (f"runs in {target.runtime}, not in {device.engines[0].runtime}, which is what {device.name} runs best",)
