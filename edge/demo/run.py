"""The demo's steps: convert for each board, read back and compare again, time, read a picture, write the page."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

import edgekit
from edgekit.apps.base import RunOptions
from edgekit.apps.digits import run as run_digits
from edgekit.artifact import read
from edgekit.benchmark.report import Report, Result
from edgekit.core.errors import EdgekitError, GateFailed
from edgekit.core.files import write_atomically
from edgekit.core.profiles import find
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Parity
from edgekit.demo.page import page
from edgekit.demo.result import Demo, Failure, Made, Picture, Seen, Timing
from edgekit.models import digits
from edgekit.verify import verify

TARGETS = ("jetson", "coral", "rpi", "cpu")
READER = "rpi"
"""Whose artifact reads the drawn picture: a small int8 file, run by the engine that the board has too."""
BENCH_S = 0.5
MEDIAN = 50.0
PAGE = "index.html"

T = TypeVar("T")


def demo(output: Path, *, progress: Progress = silent) -> Demo:
    """Run every step and write `output/index.html`. A step that fails is in `failed`; the others still run.

    Artifacts of an earlier demo in the same folder are replaced. Raises `EdgekitError` only when nothing may be written.
    """
    started = time.perf_counter()
    steps = _Steps(progress, total=len(TARGETS) + 3)
    made = [one for name in TARGETS if (one := steps.take(f"convert for {name}", partial(_make, name, output)))]
    report = steps.take("bench on this machine", lambda: _bench(made)) if made else None
    picture = steps.take("read a picture", lambda: _read_picture(made))
    steps.say("write the page")
    model = digits.model_path()
    found = Demo(
        page=str(output / PAGE),
        model=model.name,
        model_bytes=model.stat().st_size,
        host=_host(report),
        artifacts=tuple(_timed(one, report) for one in made),
        picture=picture,
        failed=tuple(steps.failed),
        seconds=round(time.perf_counter() - started, 2),
    )
    write_atomically(output / PAGE, page(found, digits.number_picture()).encode())
    return found


class _Steps:
    """Takes steps one after the other, says which, and keeps the failures."""

    def __init__(self, progress: Progress, *, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self.failed: list[Failure] = []

    def say(self, name: str) -> None:
        self._done += 1
        self._progress(Event(stage=name, done=self._done, total=self._total))

    def take(self, name: str, step: Callable[[], T]) -> T | None:
        """The step's value, or None when it failed in a way that was to be expected."""
        self.say(name)
        try:
            return step()
        except EdgekitError as error:
            self.failed.append(Failure(step=name, error=error.message, hint=error.hint))
            return None


def _make(target: str, output: Path) -> Made:
    """Convert the shipped network for one target, then read the artifact back and compare it once more."""
    started = time.perf_counter()
    samples = digits.FOLDER / "samples"
    written = edgekit.convert(digits.model_path(), target=target, calibration=samples, output=output, force=True)
    artifact = read(written.path)
    manifest, model = artifact.manifest, artifact.manifest.file("model")
    return Made(
        target=target,
        device=find(manifest.target.device).title,
        path=str(artifact.path),
        precision=manifest.target.precision,
        format=manifest.target.format,
        runtime=manifest.target.runtime,
        bytes=model.bytes if model else 0,
        sha256=artifact.sha256,
        parity=_compared_again(artifact.path, manifest.runtimes[-1]),
        seconds=round(time.perf_counter() - started, 2),
    )


def _compared_again(path: Path, runtime: str) -> Parity:
    """Parity of the artifact as it lies on the disk; `GateFailed` when a hash or the parity is wrong."""
    verdict = verify(path, runtime=runtime)
    if not verdict.ok or verdict.parity is None:
        raise GateFailed(f"{path.name} does not hold what its manifest says", f"edgekit verify {path}")
    return verdict.parity


def _bench(made: list[Made]) -> Report:
    return edgekit.bench([one.path for one in made], duration_s=BENCH_S, restarts=1)


def _timed(made: Made, report: Report | None) -> Made:
    """`made` with its timing, when it was measured."""
    results = report.results if report else ()
    mine = next((result for result in results if result.subject.sha256 == made.sha256), None)
    return msgspec.structs.replace(made, timing=_timing(mine)) if mine else made


def _timing(result: Result) -> Timing | None:
    median = next((one for one in result.summary.percentiles if one.level == MEDIAN), None)
    if median is None:
        return None
    return Timing(
        median_ms=median.value_ms,
        lower_ms=median.lower_ms,
        upper_ms=median.upper_ms,
        samples=result.summary.samples,
        runtime=f"{result.engine.runtime} {result.engine.version}".strip(),
        on_target=result.on_target,
    )


def _read_picture(made: list[Made]) -> Picture:
    """Let the Raspberry Pi's artifact read the number in the drawn picture; a wrong digit is a failure."""
    reader = next((one for one in made if one.target == READER), None)
    if reader is None:
        raise GateFailed(f"there is no artifact for {READER} to read the picture with")
    answer = run_digits(RunOptions(artifact=Path(reader.path), image=digits.number_picture())).result
    seen = tuple(Seen(digit=one["digit"], score=one["score"], box=tuple(one["box"])) for one in answer["digits"])
    found = Picture(drawn=digits.NUMBER, read="".join(str(one.digit) for one in seen), target=READER, digits=seen)
    if found.read != found.drawn:
        raise GateFailed(f"the picture shows {found.drawn}, the {READER} artifact read {found.read or 'nothing'}")
    return found


def _host(report: Report | None) -> str:
    if report is None:
        return "this machine"
    environment = report.environment
    return f"{environment.cpu}, {environment.usable_cores} cores, {environment.os}"
