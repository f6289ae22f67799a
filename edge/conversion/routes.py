"""`convert`: one model, one target, one verified artifact; or an error and nothing written.

A language model, a task of MediaPipe and a network go their own ways; what the last one needs is imported when one comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.conversion.language import convert_language, is_language_model
from edgekit.conversion.request import Request
from edgekit.core.errors import UsageError
from edgekit.core.profiles import find
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Artifact, Device, Recipe
from edgekit.mediapipe_task import is_task, package

if TYPE_CHECKING:
    from edgekit.converters.prune.rounds import Importance


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
    return _from_memory(model, name, example_inputs, find(target), request, progress)


def _from_memory(
    model: Any, name: str, example_inputs: tuple[Any, ...] | None, device: Device, request: Request, progress: Progress
) -> Artifact:
    """The artifact of a model that no file holds: a network."""
    from edgekit.conversion.pipeline import convert_one, source_in_memory
    from edgekit.formats import import_object

    progress(Event(stage=f"import {name}"))
    imported = import_object(model, name, request.input_shapes, example_inputs)
    return convert_one(source_in_memory(name, imported, request, progress, (device,)), device, request, progress).artifact


def _from_file(model: Path, device: Device, request: Request, progress: Progress) -> Artifact:
    """The artifact of a model on disk, by its own route."""
    if is_language_model(model):
        return convert_language(model, device, request.of_language(), progress)
    if is_task(model, request.recipe.format):
        return package_task(model, device, request)
    from edgekit.conversion.pipeline import convert_one, source_for

    return convert_one(source_for(model, request, progress, (device,)), device, request, progress).artifact


def package_task(model: Path, device: Device, request: Request) -> Artifact:
    """The artifact of a task of MediaPipe. Raises `UsageError` for what can only be asked of a conversion."""
    if request.recipe.precision != "auto" or request.prune is not None or request.evaluate is not None:
        raise UsageError(
            f"{model.name!r} is packaged for MediaPipe as it is, not converted", "leave out --precision, --prune and --evaluate"
        )
    return package(model, device, request.output, force=request.force, licence=request.licence)
