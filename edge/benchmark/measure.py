"""Measure artifacts: several fresh processes each, taken in turns so that a machine that drifts is unfair to none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from edgekit.artifact import read
from edgekit.benchmark.conditions.environment import environment
from edgekit.benchmark.conditions.on_target import on_target
from edgekit.benchmark.process import launch
from edgekit.benchmark.process.language import Sizes, least_answers, sizes_for
from edgekit.benchmark.process.order import Done, Launch, Order
from edgekit.benchmark.report import REPORT_VERSION, Environment, Method, Report, Result, Subject
from edgekit.benchmark.scenarios import (
    ANSWERED,
    BACK_TO_BACK,
    QUERY,
    bound_for,
    checked_scenario,
    least_samples,
    rate_for,
    timed_words,
)
from edgekit.benchmark.statistics.flags import flags_of
from edgekit.benchmark.statistics.percentiles import CONFIDENCE
from edgekit.benchmark.statistics.plausible import doubts, measured
from edgekit.benchmark.statistics.summarise import summarise
from edgekit.core.errors import Unsupported, UsageError
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Artifact

WARMUP_LIMIT_S = 1.0


def measure(
    paths: Sequence[Path],
    *,
    scenario: str,
    duration_s: float,
    rate_hz: float | None,
    runtime: str,
    threads: int,
    restarts: int,
    bound_ms: float | None = None,
    warmup_s: float | None = None,
    prompt_tokens: int | None = None,
    answer_tokens: int | None = None,
    progress: Progress = silent,
    launch: Launch = launch.here,
) -> Report:
    """Measure every artifact and report. See `edgekit.benchmark.bench`, which is its face."""
    _check(paths, duration_s, restarts, threads, warmup_s)
    method = _method(scenario, duration_s, restarts, rate_hz, bound_ms, warmup_s)
    artifacts = [read(path) for path in paths]
    method = _spoken(method, sizes_for(artifacts, prompt_tokens, answer_tokens))
    done: list[list[Done]] = [[] for _ in artifacts]
    turns = [pair for _ in range(restarts) for pair in zip(artifacts, done, strict=True)]
    for count, (artifact, answers) in enumerate(turns):
        progress(Event(stage="measure", done=count, total=len(turns)))
        answers.append(launch(_order(artifact, method, runtime, threads)))
    progress(Event(stage="measure", done=len(turns), total=len(turns)))
    conditions = done[0][0].environment or environment()
    results = [_result(artifact, answers, conditions, method) for artifact, answers in zip(artifacts, done, strict=True)]
    results = _doubted(artifacts, results, conditions, method)
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Report(schema_version=REPORT_VERSION, created=created, method=method, environment=conditions, results=tuple(results))


def _check(paths: Sequence[Path], duration_s: float, restarts: int, threads: int, warmup_s: float | None) -> None:
    if not paths:
        raise UsageError("there is nothing to measure", "edgekit bench ARTIFACT")
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise UsageError(f"the duration must be a positive number of seconds, got {duration_s:g}")
    if warmup_s is not None and not (math.isfinite(warmup_s) and warmup_s > 0):
        raise UsageError(f"the warm-up must be a positive number of seconds, got {warmup_s:g}")
    if restarts < 1:
        raise UsageError(f"restarts must be 1 or more, got {restarts}")
    if threads < 0:
        raise UsageError(f"threads must be 0 (every core) or more, got {threads}")


def _spoken(method: Method, sizes: Sizes) -> Method:
    """The method, told in the words of language models where these are measured: one answer comes after the other."""
    if not sizes.answer:
        return method
    if method.scenario != "single-stream":
        raise Unsupported(
            f"language models are measured one answer after the other, not as {method.scenario!r}", "leave it out"
        )
    return msgspec.structs.replace(method, timed=ANSWERED, prompt_tokens=sizes.prompt, answer_tokens=sizes.answer)


def _method(
    scenario: str,
    duration_s: float,
    restarts: int,
    rate_hz: float | None,
    bound_ms: float | None,
    warmup_s: float | None,
) -> Method:
    known = checked_scenario(scenario)
    rate = rate_for(known, rate_hz)
    return Method(
        scenario=known,
        duration_s=duration_s,
        restarts=restarts,
        warmup_limit_s=min(WARMUP_LIMIT_S, duration_s) if warmup_s is None else warmup_s,
        rate_hz=rate,
        confidence=CONFIDENCE,
        timed=timed_words(known),
        query=QUERY.get(known, 1),
        bound_ms=bound_for(known, rate, bound_ms),
    )


def _order(artifact: Artifact, method: Method, runtime: str, threads: int) -> Order:
    least = least_samples(method.scenario, method.restarts, method.bound_ms)
    return Order(
        artifact=str(artifact.path.resolve()),
        sha256=artifact.sha256,
        runtime=runtime,
        threads=threads,
        scenario=method.scenario,
        rate_hz=method.rate_hz,
        duration_s=method.duration_s,
        warmup_limit_s=method.warmup_limit_s,
        query=method.query,
        bound_ms=method.bound_ms,
        prompt_tokens=method.prompt_tokens,
        answer_tokens=method.answer_tokens,
        minimum_samples=least_answers(method.restarts) if method.answer_tokens else least,
    )


def _result(artifact: Artifact, answers: Sequence[Done], conditions: Environment, method: Method) -> Result:
    runs = tuple(answer.run for answer in answers)
    result = Result(
        subject=_subject(artifact),
        engine=answers[0].engine,
        on_target=on_target(artifact.manifest.target, answers[0].engine, conditions),
        input=answers[0].input,
        summary=summarise(runs, query=method.query if method.scenario in BACK_TO_BACK and not method.answer_tokens else 0),
        flags=(),
        runs=runs,
    )
    return msgspec.structs.replace(result, flags=flags_of(result, conditions, method))


def _doubted(artifacts: Sequence[Artifact], results: Sequence[Result], conditions: Environment, method: Method) -> list[Result]:
    """The results, each with a flag for every reason not to believe it."""
    rows = [measured(artifact, result) for artifact, result in zip(artifacts, results, strict=True)]
    return [
        msgspec.structs.replace(row.result, flags=(*doubts(row, rows, conditions, method), *row.result.flags)) for row in rows
    ]


def _subject(artifact: Artifact) -> Subject:
    manifest = artifact.manifest
    return Subject(
        name=manifest.name,
        folder=artifact.path.name,
        sha256=artifact.sha256,
        device=manifest.target.device,
        target_runtime=manifest.target.runtime,
        precision=manifest.target.precision,
        format=manifest.target.format,
        bytes=sum(file.bytes for file in manifest.files if file.role == "model"),
        parity=manifest.parity,
        accuracy=manifest.accuracy,
    )
