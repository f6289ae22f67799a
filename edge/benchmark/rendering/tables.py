"""The tables of a report as rows of text, the same for the terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.benchmark.process.language import tokens_of
from edgekit.benchmark.rendering import plots
from edgekit.benchmark.rendering.words import (
    NONE,
    accuracy_words,
    digits,
    engine_words,
    parity_words,
    percentile_of,
    place_words,
    rate_words,
    size,
)
from edgekit.benchmark.report import Report, Result, Summary
from edgekit.benchmark.statistics.flags import drift
from edgekit.benchmark.statistics.percentiles import samples_needed
from edgekit.benchmark.statistics.summarise import median_ms

OVERVIEW = ("Artifact", "p50 ms", "p90 ms", "p99 ms", "per second", "Accuracy", "Parity", "Size", "Memory")
RESTARTS = ("Restart", "Load ms", "First ms", "Warm-up", "Samples", "p50 ms", "Drift", "Peak memory")
ENERGY = ("Artifact", "mJ", "per", "Mean W", "Readings", "Meter")
STAGES = ("Stages, ms", "Picture", *plots.STAGES.values(), "together")
SPOKEN = (
    "Restart",
    "Answers",
    "Prompt tokens",
    "known",
    "Answer tokens",
    "Prompt tokens/s",
    "Answer tokens/s",
    "First piece ms",
)
PERCENTILES = ("Percentile", "ms", "at least", "at most")


def overview_header(report: Report) -> tuple[str, ...]:
    """The columns of `overview`."""
    method = report.method
    if not method.answer_tokens:
        return OVERVIEW
    rates = (f"pp{method.prompt_tokens} tokens/s", f"tg{method.answer_tokens} tokens/s")
    return ("Artifact", *rates, "First piece ms", "Parity", "Size", "Memory")


def overview(report: Report) -> list[tuple[str, ...]]:
    """One row per artifact; the second line of the first cell says what ran it, and where when that is not its target."""
    row = _spoken_row if report.method.answer_tokens else _overview_row
    return [row(result) for result in report.results]


def _who(result: Result) -> str:
    under = "; ".join(part for part in (place_words(result), engine_words(result)) if part)
    return f"{result.subject.folder}\n{under}"


def _spoken_row(result: Result) -> tuple[str, ...]:
    summary, subject = result.summary, result.subject
    found = summary.tokens
    rates = (NONE, NONE) if found is None else (rate_words(found.prompt), rate_words(found.generation))
    return (
        _who(result),
        *rates,
        digits(median_ms(*result.runs)),
        parity_words(subject.parity),
        size(subject.bytes),
        size(summary.peak_rss_bytes),
    )


def _overview_row(result: Result) -> tuple[str, ...]:
    summary, subject = result.summary, result.subject
    return (
        _who(result),
        *(_bounded(result, level) for level in (50.0, 90.0, 99.0)),
        NONE if summary.throughput_per_s is None else digits(summary.throughput_per_s),
        accuracy_words(subject.accuracy),
        parity_words(subject.parity),
        size(subject.bytes),
        size(summary.peak_rss_bytes),
    )


def _bounded(result: Result, level: float) -> str:
    """The percentile, and under it the bound that it stays below, or how many samples it would need."""
    found = percentile_of(result, level)
    if found is None:
        return f"{NONE}\nneeds {samples_needed(level)}"
    return f"{digits(found.value_ms)}\n≤ {digits(found.upper_ms)}"


def energy(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """One row per artifact that was measured with a meter."""
    return [
        (
            result.subject.folder,
            *energy_words(result.summary),
            digits(result.summary.mean_w),
            str(sum(len(run.energy.readings_w) for run in result.runs if run.energy)),
            next(run.energy.meter for run in result.runs if run.energy),
        )
        for result in results
        if result.summary.mj_per_inference is not None and result.summary.mean_w is not None
    ]


def energy_words(summary: Summary) -> tuple[str, str]:
    """Millijoules, and of what: an inference, or a token that a language model wrote, its share of reading the prompt included."""
    taken = summary.mj_per_inference or 0.0
    if summary.tokens is None:
        return digits(taken), "inference"
    # An answer's first token is counted with none of its tokens: it is what reading the prompt gave.
    return digits(taken / (summary.tokens.answer_tokens + 1)), "token of an answer"


def stages(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """One row per artifact: milliseconds of every stage that it has."""
    rows = []
    for result in results:
        if found := dict(plots.stage_parts(result)):
            picture = result.runs[0].stages.picture if result.runs[0].stages else None
            cells = (digits(found[name]) if name in found else NONE for name in plots.STAGES.values())
            frame = f"{picture[0]} x {picture[1]}" if picture else NONE
            rows.append((result.subject.folder, frame, *cells, digits(sum(found.values()))))
    return rows


def percentiles(result: Result) -> list[tuple[str, ...]]:
    """Every percentile with both bounds."""
    return [
        (f"p{found.level:g}", digits(found.value_ms), digits(found.lower_ms), digits(found.upper_ms))
        for found in result.summary.percentiles
    ]


def restarts(result: Result) -> list[tuple[str, ...]]:
    """One row per process."""
    return [
        (
            str(number),
            digits(run.load_ms),
            digits(run.first_ms),
            f"{run.warmup.runs} in {run.warmup.seconds:.2f} s" + (", unsettled" if run.warmup.steady is False else ""),
            f"{len(run.latencies_ns):,}",
            digits(median_ms(run)),
            f"{drift(run):+.1%}",
            size(run.peak_rss_bytes),
        )
        for number, run in enumerate(result.runs, 1)
    ]


def spoken(result: Result) -> list[tuple[str, ...]]:
    """One row per process: its rates and what they were taken over."""
    rows: list[tuple[str, ...]] = []
    for number, run in enumerate(result.runs, 1):
        if (found := tokens_of([run])) is not None:
            counts = (str(found.answers), str(found.prompt_tokens), str(found.cached_tokens), str(found.answer_tokens))
            rows.append((str(number), *counts, rate_words(found.prompt), rate_words(found.generation), digits(median_ms(run))))
    return rows


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: words flush left, numbers flush right; second lines of cells in a line of their own."""
    lines = [list(header)]
    for row in rows:
        cells = [cell.split("\n") for cell in row]
        lines += [[cell[depth] if depth < len(cell) else "" for cell in cells] for depth in range(max(map(len, cells)))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("  ".join(_placed(line, widths)).rstrip() for line in lines)


def _placed(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
