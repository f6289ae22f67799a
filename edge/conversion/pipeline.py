"""`convert`: one model, one target, one verified artifact; or an error and nothing written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edgekit import artifact as artifacts
from edgekit.conversion.candidate import Candidate, Gates, proven
from edgekit.conversion.float_cost import FloatCost, Pace, float_cost, pace
from edgekit.conversion.language import LanguageRequest, convert_language, is_language_model
from edgekit.conversion.lowering import lower, prepare
from edgekit.conversion.proof import Proof, ensure
from edgekit.conversion.rescue import may_mix, mixed, rescued
from edgekit.conversion.shrink import TRAINING, Pruning, multiples_for, notes_of, shrunk
from edgekit.conversion.source import SourceModel, open_source, source_of
from edgekit.converters.importers.base import Imported
from edgekit.converters.prune.prune import Importance
from edgekit.core.errors import GateFailed, UsageError
from edgekit.core.files import ensure_free, ensure_writable
from edgekit.core.profiles import find
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Artifact, Device, Recipe, Target
from edgekit.formats import import_object
from edgekit.mediapipe_task import is_task, package
from edgekit.plan import ON_CPU, plan, runs


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked of one model, whatever the target. Raises `UsageError` for a budget that nothing would measure."""

    recipe: Recipe = field(default_factory=Recipe)
    calibration: Any = None
    evaluate: Path | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    output: Path = Path()
    force: bool = False
    licence: str = ""
    prune: float | None = None
    """Share of the multiply-accumulates to remove first; of a language model, of its layers."""
    importance: Importance = "activations"
    """What pruning judges channels by."""
    multiple: int = 0
    """Numbers of channels are made multiples of this; 0: of what suits the boards."""
    context: int = 0
    """Of a language model: tokens of conversation its memory is reckoned with; 0 leaves it to edgekit."""
    imatrix: Path | None = None
    """Of a language model: text that says which columns of its weights matter."""
    memory_bytes: int = 0
    """Of the very board, where it is sold in several sizes."""

    def pruning(self, boards: Sequence[Device]) -> Pruning | None:
        """What is to be taken out of a model for these boards."""
        if self.prune is None:
            return None
        multiples = (self.multiple,) if self.multiple else multiples_for(boards, self.recipe)
        return Pruning(share=self.prune, importance=self.importance, multiples=multiples)

    def of_language(self) -> LanguageRequest:
        """What of it is meant for a language model."""
        return LanguageRequest(
            precision=self.recipe.precision,
            output=self.output,
            force=self.force,
            licence=self.licence,
            prune=self.prune,
            context=self.context,
            imatrix=self.imatrix,
            memory_bytes=self.memory_bytes,
        )

    def __post_init__(self) -> None:
        budget = self.recipe.max_drop
        if budget is not None and self.evaluate is None:
            raise UsageError("a largest drop was given, but no data to measure it on", "add --evaluate DATA")
        if self.importance == "taylor":
            raise UsageError("judging channels by gradients needs PyTorch", f"{TRAINING} --importance taylor")
        if budget is not None and not 0 <= budget < 1:
            raise UsageError(f"the largest drop is {budget:g}", "give a share between 0 and 1: 0.01 is one point")


def convert(
    model: Any,
    *,
    target: str = "cpu",
    precision: str = "auto",
    calibration: Any = None,
    evaluate: str | Path | None = None,
    max_drop: float | None = None,
    format: str = "auto",
    output: str | Path = ".",
    force: bool = False,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    allow_cpu_ops: bool = False,
    max_steps: int = 12,
    adaround: bool = False,
    segments: int = 1,
    prune: float | None = None,
    importance: Importance = "activations",
    multiple: int = 0,
    context: int = 0,
    imatrix: str | Path | None = None,
    memory_bytes: int = 0,
    name: str = "model",
    example_inputs: tuple[Any, ...] | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Convert a trained model for one target and prove it; returns the artifact written to `output/NAME.TARGET.PRECISION`.

    `model`: a path, or a model in memory, which is called `name`: an `onnx.ModelProto`, a PyTorch module (with `example_inputs`,
    or `input_shapes` for float inputs) or exported program, a fitted scikit-learn estimator.
    `calibration`: a folder of images, an `.npz`, an idx file, or any iterable of arrays or of {input: array}.
    `evaluate`: data to judge on, as `tasks.datasets.open_dataset` takes it; with `max_drop` (0.01 = one point) it is a gate, and
    int8 that misses it is rescued by keeping layers in float, trying at most `max_steps` plans.
    `adaround`: round the weights of wide layers together, too, which takes minutes.
    `segments`: compile for so many Edge TPUs, one after another.
    `prune`: a share (0.3) of the multiply-accumulates to remove first, whole channels at a time, without training; `importance`:
    whether "activations" or "weights" say which; `multiple`: numbers of channels are multiples of it (0: of what suits the board).
    A language model (GGUF, llama2.c, a Hugging Face folder) takes `context`, `imatrix` (a text file), `memory_bytes` of the board,
    and `prune` as a share of its layers; of the others only precision, output and force.
    Raises `GateFailed` when parity or accuracy is missed, and other `EdgekitError`s for what cannot be converted.
    """
    recipe = Recipe(
        precision=precision,  # type: ignore[arg-type]
        format=format,
        max_drop=max_drop,
        max_steps=max_steps,
        adaround=adaround,
        allow_cpu_ops=allow_cpu_ops,
        segments=segments,
    )
    request = Request(
        recipe=recipe,
        calibration=calibration,
        evaluate=Path(evaluate) if evaluate is not None else None,
        input_shapes=input_shapes or {},
        preprocess=preprocess or {},
        output=Path(output),
        force=force,
        prune=prune,
        importance=importance,
        multiple=multiple,
        context=context,
        imatrix=Path(imatrix) if imatrix is not None else None,
        memory_bytes=memory_bytes,
    )
    if isinstance(model, (str, Path)):
        return _from_file(Path(model), find(target), request, progress)
    device = find(target)
    progress(Event(stage=f"import {name}"))
    imported = import_object(model, name, request.input_shapes, example_inputs)
    return convert_one(source_in_memory(name, imported, request, progress, (device,)), device, request, progress).artifact


def _from_file(model: Path, device: Device, request: Request, progress: Progress) -> Artifact:
    """The artifact of a model on disk, a language model by its own route."""
    if is_language_model(model):
        return convert_language(model, device, request.of_language(), progress)
    if is_task(model, request.recipe.format):
        return package_task(model, device, request)
    return convert_one(source_for(model, request, progress, (device,)), device, request, progress).artifact


def package_task(model: Path, device: Device, request: Request) -> Artifact:
    """The artifact of a task of MediaPipe. Raises `UsageError` for what can only be asked of a conversion."""
    if request.recipe.precision != "auto" or request.prune is not None or request.evaluate is not None:
        raise UsageError(
            f"{model.name!r} is packaged for MediaPipe as it is, not converted", "leave out --precision, --prune and --evaluate"
        )
    return package(model, device, request.output, force=request.force, licence=request.licence)


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


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """The artifact, and what keeping layers in float costs in time where that was done and could be measured here."""

    artifact: Artifact
    float_cost: FloatCost | None = None
    pace: Pace | None = None
    """How fast a precision that is asked for by name only is beside float."""


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
    ensure_writable(request.output)
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
