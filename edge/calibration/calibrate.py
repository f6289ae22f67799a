"""Measure the calibration models on this machine's engines and fit a latency profile to each engine and precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone

import numpy as np

from edgekit import __version__
from edgekit.benchmark.conditions.environment import environment
from edgekit.calibration.artifacts import FORMATS, made
from edgekit.calibration.models import MODELS, WIDTHS, build
from edgekit.calibration.timing import Call, clock_for, latencies_ms
from edgekit.core.errors import MissingDependency, UsageError
from edgekit.core.names import did_you_mean
from edgekit.core.profiles import devices, find, recognise
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Artifact, Device, Precision, Target
from edgekit.doctor.board import read_board
from edgekit.doctor.machine import Place
from edgekit.loading import open_artifact
from edgekit.prediction.fit import Terms, fit, left_out, terms
from edgekit.prediction.lookup import works_of
from edgekit.prediction.profile import VERSION, LatencyProfile, Sample
from edgekit.prediction.work import kinds
from edgekit.runtimes import registry
from edgekit.runtimes.base import cores

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def calibrate(
    *,
    runtimes: Sequence[str] = (),
    threads: int = 0,
    precisions: Sequence[Precision] = PRECISIONS,
    models: Sequence[str] = (),
    progress: Progress = silent,
) -> tuple[LatencyProfile, ...]:
    """One profile for every runtime here that can be calibrated (or those named), in float and in int8.

    Takes a minute or two. Raises `UsageError` for a runtime that cannot be calibrated, `MissingDependency` when none works.
    """
    if threads < 0:
        raise UsageError(f"threads must be 0 (every core) or more, got {threads}")
    device = recognise(devices(), environment().compatible) or find("host")
    targets = targets_here(device, runtimes, precisions)
    built = {f"{name}@{width:g}": build(name, width) for name in models or MODELS for width in WIDTHS}
    with made(built, targets, progress) as artifacts:
        return tuple(
            _measured(device, target, {name: found[index] for name, found in artifacts.items()}, threads, progress)
            for index, target in enumerate(targets)
        )


def targets_here(
    device: Device, runtimes: Sequence[str] = (), precisions: Sequence[Precision] = PRECISIONS
) -> tuple[Target, ...]:
    """What can be calibrated on `device`: its CPU engines that work here."""
    for name in runtimes:
        if name not in FORMATS:
            hint = did_you_mean(name, FORMATS, f"those that can: {', '.join(FORMATS)}")
            raise UsageError(f"the runtime {name!r} cannot be calibrated", hint)
    engines = [
        engine for engine in device.engines if engine.runtime in (runtimes or FORMATS) and engine.format in FORMATS.values()
    ]
    probes = {engine.runtime: registry.get(engine.runtime).probe() for engine in engines}
    found = tuple(
        Target(device=device.name, runtime=engine.runtime, format=engine.format, precision=precision, dialect=engine.dialect)
        for engine in engines
        for precision in engine.precisions
        if probes[engine.runtime].ok and precision in precisions
    )
    if not found:
        reasons = "; ".join(f"{name}: {probe.reason}" for name, probe in probes.items() if not probe.ok)
        raise MissingDependency(
            f"no runtime of {device.name} can be calibrated here: {reasons or 'none is known'}", "edgekit doctor"
        )
    return found


def _measured(
    device: Device, target: Target, artifacts: Mapping[str, Artifact], threads: int, progress: Progress
) -> LatencyProfile:
    progress(Event(stage=f"measure {target.runtime} {target.precision}"))
    with opened(artifacts.values(), target.runtime, threads) as calls:
        return fitted(device, target, artifacts, latencies_ms(calls, clock_for(cores(threads))), threads)


def fitted(
    device: Device, target: Target, artifacts: Mapping[str, Artifact], measured: Sequence[float], threads: int
) -> LatencyProfile:
    """The profile in which these artifacts take the milliseconds that `clock_for` this many threads has measured."""
    works = [works_of(artifact.file("model"))[0] for artifact in artifacts.values()]
    rows = [terms(work) for work in works]
    place = environment()
    return LatencyProfile(
        schema_version=VERSION,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        device=device.name,
        machine=place.machine,
        cpu=place.cpu,
        power_mode=read_board(Place().root).power_mode,
        runtime=target.runtime,
        version=registry.get(target.runtime).probe().version,
        precision=target.precision,
        threads=cores(threads),
        clock=clock_for(cores(threads)),
        rates=fit(rows, measured),
        kinds=tuple(sorted(kinds(work for each in works for work in each))),
        samples=_samples(tuple(artifacts), rows, measured),
        edgekit=__version__,
    )


def _samples(names: Sequence[str], rows: Sequence[Terms], measured: Sequence[float]) -> tuple[Sample, ...]:
    """Every model with what the other networks predict for it: all widths of one are left out together."""
    ratios = left_out(rows, measured, [name.partition("@")[0] for name in names])
    return tuple(
        Sample(name=name, measured_ms=round(ms, 6), predicted_ms=round(ms * ratio, 6))
        for name, ms, ratio in zip(names, measured, ratios, strict=True)
    )


@contextlib.contextmanager
def opened(artifacts: Iterable[Artifact], runtime: str, threads: int) -> Iterator[list[Call]]:
    """One call of every artifact, each open with seeded inputs."""
    with contextlib.ExitStack() as stack:
        yield [_call(artifact, runtime, threads, stack) for artifact in artifacts]


def _call(artifact: Artifact, runtime: str, threads: int, stack: contextlib.ExitStack) -> Call:
    session = stack.enter_context(open_artifact(artifact, runtime=runtime, threads=threads))
    generator = np.random.default_rng(0)
    feed = {spec.name: generator.random(spec.shape, np.float32).astype(spec.dtype) for spec in session.inputs}
    return lambda: session.run(feed)
