"""When int8 misses its gates: which targets may mix precisions, and the search for the plan that holds."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from edgekit.conversion.candidate import Candidate, Gates, proven
from edgekit.conversion.lowering import Prepared, lower, style_of
from edgekit.conversion.proof import failure_of
from edgekit.conversion.recover import recover
from edgekit.conversion.source import SourceModel
from edgekit.converters.quantize.mend.sensitivity import scan
from edgekit.core.errors import GateFailed
from edgekit.core.progress import Event, Progress
from edgekit.core.schema import Recipe, Target
from edgekit.runtimes.onnxruntime import simulate


def may_mix(target: Target, recipe: Recipe) -> bool:
    """Whether layers may be kept in float: int8 was tried, and a budget or "mixed" was asked for."""
    asked = recipe.precision == "mixed" or recipe.max_drop is not None
    return target.precision == "int8" and asked and recipe.max_steps > 0


def mixed(target: Target) -> Target:
    """The same target with some layers in float."""
    return msgspec.structs.replace(target, precision="mixed")


def rescued(
    source: SourceModel,
    target: Target,
    recipe: Recipe,
    prepared: Prepared,
    failed: Candidate,
    gates: Gates,
    progress: Progress,
) -> Candidate:
    """The plan with fewest blocks in float that passes the gates that `failed` missed. Raises `GateFailed` when none does."""
    missed = failure_of(failed.proof, target.precision)
    if target.format == "edgetpu" or prepared.scheme is None or prepared.calibration is None:
        raise GateFailed(
            f"{missed.message}; the Edge TPU computes in int8 only, so no layer can be kept in float there",
            "give more calibration data, or --format tflite for the CPU beside it",
        )
    progress(Event(stage=missed.message))
    noted = replace(gates, notes=(*gates.notes, f"int8 was tried first: {missed.message}"))
    groups = scan(
        prepared.graph,
        prepared.calibration,
        source.samples or (),
        simulate,
        scheme=prepared.scheme,
        style=style_of(recipe),
        progress=progress,
    )

    def attempt(kept: frozenset[str]) -> Candidate:
        return proven(source, mixed(target), lower(source, mixed(target), recipe, prepared, progress, kept), noted, progress)

    try:
        return recover(prepared.graph, groups, attempt, max_steps=recipe.max_steps, progress=progress)
    except GateFailed as none:
        raise GateFailed(f"{missed.message}; {none.message}", none.hint) from none
