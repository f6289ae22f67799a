"""A report for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.benchmark.rendering.method import conditions, method_paragraphs
from edgekit.benchmark.rendering.tables import (
    ENERGY,
    PERCENTILES,
    RESTARTS,
    SPOKEN,
    STAGES,
    aligned,
    energy,
    overview,
    overview_header,
    percentiles,
    restarts,
    spoken,
    stages,
)
from edgekit.benchmark.report import Report, Result
from edgekit.benchmark.statistics.flags import own, shared


def terminal(report: Report) -> str:
    """The overview, and every flag under it."""
    told = [("all of them", shared(report.results))]
    told += [(result.subject.folder, own(result, report.results)) for result in report.results]
    lists = ["\n".join([name, *(f"  {flag.severity}: {flag.text}" for flag in flags)]) for name, flags in told if flags]
    more = [aligned(header, rows) for header, rows in _more(report) if rows]
    return "\n\n".join([aligned(overview_header(report), overview(report)), *more, *lists])


def _more(report: Report) -> tuple[tuple[Sequence[str], list[tuple[str, ...]]], ...]:
    """The tables that not every report has."""
    return (STAGES, stages(report.results)), (ENERGY, energy(report.results))


def markdown(report: Report) -> str:
    """The whole report but its raw samples."""
    parts = [
        f"# {_plain(title(report))}",
        _plain(f"{report.method.scenario} on {report.environment.cpu}, {report.created}"),
        _table(overview_header(report), overview(report)),
        *(_table(header, rows) for header, rows in _more(report) if rows),
        *(part for result in report.results for part in _details(result)),
        "## Conditions",
        "\n".join(f"- {_plain(name)}: {_plain(value)}" for name, value in conditions(report.environment)),
        "## Method",
        *method_paragraphs(report.method),
    ]
    return "\n\n".join(parts) + "\n"


def title(report: Report) -> str:
    """What the report is about."""
    what = "Speed" if report.method.answer_tokens else "Latency"
    if len(report.results) == 1:
        return f"{what} of {report.results[0].subject.folder}"
    return f"{what} of {len(report.results)} artifacts"


def _details(result: Result) -> list[str]:
    flags = [f"- **{flag.severity}** {_plain(flag.text)}" for flag in result.flags]
    return [
        f"## {_plain(result.subject.folder)}",
        f"sha256 `{result.subject.sha256}`",
        *(["\n".join(flags)] if flags else []),
        *(_table(header, rows) for header, rows in _details_tables(result) if rows),
    ]


def _details_tables(result: Result) -> tuple[tuple[Sequence[str], list[tuple[str, ...]]], ...]:
    return (SPOKEN, spoken(result)), (PERCENTILES, percentiles(result)), (RESTARTS, restarts(result))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a cell's second line follows after a break."""
    ruler = [":--", *("--:" for _ in header[1:])]
    lines = [header, ruler, *([_plain(cell).replace("\n", "<br>") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    for mark in ("\\", "|", "<", "*", "_", "`", "["):
        text = text.replace(mark, "\\" + mark if mark != "<" else "&lt;")
    return text
