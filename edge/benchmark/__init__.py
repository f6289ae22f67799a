"""Benchmarks: latency with bounds, memory and conditions, taken in fresh processes.

`edgekit.bench("digits.rpi5.int8")` measures and returns a `Report`; nothing heavy is imported before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.core.progress import Progress, silent

if TYPE_CHECKING:
    from edgekit.benchmark.report import Report

DURATION_S = 2.0
RESTARTS = 3


def bench(
    paths: str | Path | Sequence[str | Path],
    *,
    scenario: str = "single-stream",
    duration_s: float = DURATION_S,
    rate_hz: float | None = None,
    bound_ms: float | None = None,
    warmup_s: float | None = None,
    prompt_tokens: int | None = None,
    answer_tokens: int | None = None,
    runtime: str = "auto",
    threads: int = 0,
    restarts: int = RESTARTS,
    on: str = "",
    python: str = "python3",
    progress: Progress = silent,
) -> Report:
    """Measure one artifact folder or several.

    Each is loaded and run in `restarts` fresh processes, taken in turns; in each the timed region lasts `duration_s` after a
    warm-up of at most `warmup_s` (a second; more than ten also wait for the temperature to settle), longer while there are too
    few samples for a p90. `scenario` is "single-stream" (one
    inference after the other), "periodic" (one every 1 / `rate_hz` seconds, as a camera gives frames), "multi-stream" (queries
    of eight, back to back), "offline" (as many per second as all cores can), or "server" (requests at random times: `rate_hz`
    per second, or the highest rate at which p99 stays below `bound_ms`). `threads` 0 uses every core. `on` is a board as ssh names
    it (user@host), where `python` must have edgekit; the artifact is copied there.

    A language model is asked for one answer after the other: `answer_tokens` (128) to a prompt of `prompt_tokens` (512; both less
    where its context is short), and the report has tokens per second, prompts and answers apart. Raises `UsageError` for options that do not fit, and whatever loading the artifact raises.
    """
    from edgekit.benchmark.measure import measure
    from edgekit.benchmark.process.launch import here
    from edgekit.benchmark.process.remote import on as board

    several = [paths] if isinstance(paths, str | Path) else list(paths)
    return measure(
        [Path(path) for path in several],
        scenario=scenario,
        duration_s=duration_s,
        rate_hz=rate_hz,
        bound_ms=bound_ms,
        warmup_s=warmup_s,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        runtime=runtime,
        threads=threads,
        restarts=restarts,
        progress=progress,
        launch=board(on, python) if on else here,
    )
