"""Which engine, in which precision: (device, recipe) -> targets to try, best first, or `Unsupported` with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.core.errors import InputError, Unsupported
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Device, Engine, Precision, Recipe, Target

ON_CPU: Mapping[str, tuple[Precision, ...]] = {"litert": ("int16x8", "dynamic"), "onnxruntime": ("dynamic",)}
"""What the kernels of a CPU engine compute besides the precisions a profile names, when it is asked for by name."""
MEASURED: tuple[Precision, ...] = ("int8", "int16x8")
"""Precisions that need calibration."""


def plan(device: Device, recipe: Recipe, *, calibrated: bool) -> tuple[Target, ...]:
    """Targets to try in order; the first that passes its gates is taken.

    An explicit precision gives exactly one target; "mixed" begins as int8, and what misses the gates is kept in float.
    "auto" gives the engine's precisions, best first, without int8 when there is no calibration data. Raises `Unsupported` when the device has no such format or precision, `InputError` when int8 is
    the only way and `calibrated` is false.
    """
    if recipe.precision == "auto":
        engine = _engines(device, recipe)[0]
        precisions = [p for p in engine.precisions if calibrated or p != "int8"]
        if not precisions:
            raise _uncalibrated(f"{device.name} computes int8 only", recipe)
        return tuple(_target(device, engine, precision) for precision in precisions)
    precision: Precision = "int8" if recipe.precision == "mixed" else recipe.precision
    if precision in MEASURED and not calibrated:
        raise _uncalibrated(f"{recipe.precision} was asked for", recipe)
    return (_target(device, _engine_for(device, recipe, precision), precision),)


def _engines(device: Device, recipe: Recipe) -> Sequence[Engine]:
    """The device's engines for the wished format, in the profile's order."""
    engines = [engine for engine in device.engines if recipe.format in ("auto", engine.format)]
    if not engines:
        formats = [engine.format for engine in device.engines]
        message = f"{device.name} runs no {recipe.format!r} artifacts, only {' or '.join(map(repr, formats))}"
        raise Unsupported(message, did_you_mean(recipe.format, formats, f"--format {formats[0]}"))
    return engines


def _engine_for(device: Device, recipe: Recipe, precision: Precision) -> Engine:
    """The first engine that computes in that precision."""
    engines = _engines(device, recipe)
    for engine in engines:
        if precision in runs(engine):
            return engine
    known = sorted({p for engine in engines for p in runs(engine)})
    raise Unsupported(
        f"{device.name} does not run {precision}, only {' or '.join(known)}", f"--precision {engines[0].precisions[0]}"
    )


def runs(engine: Engine) -> tuple[Precision, ...]:
    """The precisions an engine computes in: those its profile names, best first, and those of CPU kernels on demand."""
    return (*engine.precisions, *ON_CPU.get(engine.runtime, ()))


def _target(device: Device, engine: Engine, precision: Precision) -> Target:
    return Target(
        device=device.name,
        runtime=engine.runtime,
        format=engine.format,
        precision=precision,
        dialect=engine.dialect,
        version=engine.version,
    )


def _uncalibrated(why: str, recipe: Recipe) -> InputError:
    return InputError(
        f"{why}, and {_named(recipe)} needs calibration data", "--calibration FOLDER_OF_IMAGES, or FILE.npz with sample inputs"
    )


def _named(recipe: Recipe) -> str:
    return "int16x8" if recipe.precision == "int16x8" else "int8"
