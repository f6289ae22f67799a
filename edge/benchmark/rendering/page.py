"""A report as one HTML file: charts, tables, conditions, method, and its own data for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from edgekit import pages
from edgekit.benchmark.rendering import plots, tables
from edgekit.benchmark.rendering.method import conditions, method_paragraphs, scenario_sentence
from edgekit.benchmark.rendering.text import title
from edgekit.benchmark.rendering.words import digits, duration, engine_words, parity_words, percentile_of, size
from edgekit.benchmark.report import Flag, Rate, Report, Result, Tokens, encode
from edgekit.benchmark.statistics.flags import DENIALS, own, shared
from edgekit.benchmark.statistics.summarise import median_ms
from edgekit.pages import Html, Section

LEAST_DISTRIBUTION = 20
"""Fewer samples have no distribution that a chart could show."""
_CARRIES = "This page carries the whole report, raw samples included, as JSON; 'edgekit compare' reads the page itself."


def page(report: Report) -> str:
    """The whole document."""
    sections = [
        Section(title="Overview", body=_overview(report)),
        *(Section(title=result.subject.folder, body=_details(result, report)) for result in report.results),
        Section(title="Conditions", body=pages.facts(conditions(report.environment))),
        Section(title="Method", body=pages.join(pages.paragraph(text) for text in method_paragraphs(report.method))),
    ]
    return pages.page(title(report), sections, lead=_lead(report), footer=_CARRIES, data=encode(report))


def _lead(report: Report) -> str:
    day = datetime.fromisoformat(report.created)
    return f"{report.environment.cpu}, {day.day} {day:%B %Y}. {scenario_sentence(report.method)}"


def _overview(report: Report) -> Html:
    """What must be known first, the few large numbers or the comparison, and the table."""
    loud = [pages.notice(text, kind="warning") for text in _off_target(report)]
    several = plots.spoken if report.method.answer_tokens else plots.comparison
    large = [_tiles(report.results[0])] if len(report.results) == 1 else [several(report.results)]
    rows = [[_cell(text) for text in row] for row in tables.overview(report)]
    parts = [*_stages(report), *_energy(report)]
    return pages.join(
        [*loud, *large, pages.table(tables.overview_header(report), rows), *_flags(shared(report.results)), *parts]
    )


def _stages(report: Report) -> list[Html]:
    """Where the time of an answer goes, as shares and in milliseconds."""
    bars = plots.stage_bars(report.results)
    return [pages.tag("h3", "Stages"), *bars, pages.table(tables.STAGES, tables.stages(report.results))] if bars else []


def _energy(report: Report) -> list[Html]:
    """What the inferences took from the board's supply, where it has a meter."""
    rows = tables.energy(report.results)
    if not rows:
        return []
    said = (
        "The board's idle power is in it; it was read once a second while the same inferences went on after the timed region."
    )
    return [pages.tag("h3", "Energy"), pages.table(tables.ENERGY, rows), pages.paragraph(said, kind="small")]


def _off_target(report: Report) -> list[str]:
    """One sentence per device that was not there."""
    absent = list(dict.fromkeys(result.subject.device for result in report.results if not result.on_target))
    where = f"{report.environment.cpu} ({report.environment.isa})"
    return [f"The artifacts for {name} were run on the host, {where}: not the latency of a {name}." for name in absent]


def _tiles(result: Result) -> Html:
    """The few large numbers."""
    return pages.tiles(_spoken(result, result.summary.tokens) if result.summary.tokens else _fed(result))


def _spoken(result: Result, found: Tokens) -> list[tuple[str, str, str]]:
    """Of a language model."""
    summary = result.summary
    return [
        ("Reading a prompt", f"{digits(found.prompt.per_s)} tokens/s", _over(found.prompt, found.prompt_tokens)),
        ("Writing an answer", f"{digits(found.generation.per_s)} tokens/s", _over(found.generation, found.answer_tokens)),
        ("First piece", duration(median_ms(*result.runs)), "median, from the request"),
        ("Cold start", duration(summary.load_ms + summary.first_ms), f"first answer begins after {duration(summary.first_ms)}"),
        ("Peak memory", size(summary.peak_rss_bytes), "of the engine's process"),
        ("Parity", parity_words(result.subject.parity), "divergence from the source"),
        *_energy_tile(result),
    ]


def _over(rate: Rate, tokens: int) -> str:
    deviation = "one answer" if rate.deviation is None else f"± {digits(rate.deviation)}"
    return f"{deviation}, {tokens} tokens each"


def _fed(result: Result) -> list[tuple[str, str, str]]:
    """Of a model with tensors."""
    p90, summary = percentile_of(result, 90.0), result.summary
    spread = "one process" if summary.restart_spread is None else f"restarts differ by {summary.restart_spread:.1%}"
    return [
        ("Median latency" if result.on_target else "Median, on the host", duration(median_ms(*result.runs)), spread),
        (
            "90th percentile",
            duration(p90.value_ms) if p90 else "–",
            f"at most {duration(p90.upper_ms)}" if p90 else "too few samples",
        ),
        ("Cold start", duration(summary.load_ms + summary.first_ms), f"first inference {duration(summary.first_ms)}"),
        ("Peak memory", size(summary.peak_rss_bytes), f"{size(summary.model_rss_bytes)} above the bare process"),
        ("Accuracy", *_accuracy(result)),
        *_energy_tile(result),
    ]


def _energy_tile(result: Result) -> list[tuple[str, str, str]]:
    found = result.summary.mj_per_inference
    energy, what = tables.energy_words(result.summary)
    return [] if found is None else [("Energy", f"{energy} mJ", f"per {what}, at {digits(result.summary.mean_w or 0)} W")]


def _accuracy(result: Result) -> tuple[str, str]:
    """The metric, large, and what stands under it."""
    found, parity = result.subject.accuracy, f"parity {parity_words(result.subject.parity)}"
    if found is None:
        return "–", f"not measured; {parity}"
    return f"{found.artifact:.4f}", f"{found.metric}, {found.artifact - found.source:+.4f} against the source; {parity}"


def _details(result: Result, report: Report) -> Html:
    return pages.join(
        [
            pages.paragraph(_identity(result), kind="small"),
            *_flags(own(result, report.results)),
            *_rates(result),
            *([plots.distribution(result)] if result.summary.samples >= LEAST_DISTRIBUTION else []),
            plots.over_time(result),
            *_percentiles(result),
            pages.tag("h3", "Restarts"),
            pages.table(tables.RESTARTS, tables.restarts(result)),
        ]
    )


def _percentiles(result: Result) -> list[Html]:
    rows = tables.percentiles(result)
    return [pages.tag("h3", "Percentiles"), pages.table(tables.PERCENTILES, rows)] if rows else []


def _rates(result: Result) -> list[Html]:
    """A language model's rates, process by process, and what its latency is."""
    rows = [[_cell(text) for text in row] for row in tables.spoken(result)]
    said = "Latency, below, is the time from the request to the first piece of the answer."
    return [pages.table(tables.SPOKEN, rows), pages.paragraph(said, kind="small")] if rows else []


def _flags(flags: Sequence[Flag]) -> list[Html]:
    """Warnings in one box, those that deny the numbers their meaning first and loud; notes in a quiet one."""
    loud = [pages.notice(flag.text, kind="warning") for flag in flags if flag.code in DENIALS]
    warnings = [flag.text for flag in flags if flag.severity == "warning" and flag.code not in DENIALS]
    notes = [flag.text for flag in flags if flag.severity == "note"]
    return [*loud, *_listed(warnings, "warning"), *_listed(notes, "note")]


def _listed(texts: Sequence[str], kind: Literal["warning", "note"]) -> list[Html]:
    return [pages.notices(texts, kind=kind)] if texts else []


def _identity(result: Result) -> Html:
    """What exactly was measured."""
    subject = result.subject
    words = f"{subject.precision} {subject.format} for {subject.device}, {size(subject.bytes)}; {engine_words(result)}; sha256 "
    return Html(pages.html(words) + pages.tag("code", subject.sha256))


def _cell(text: str) -> Html:
    """A cell whose second line is small."""
    first, _, second = text.partition("\n")
    return Html(pages.html(first) + pages.tag("small", second)) if second else pages.html(first)
