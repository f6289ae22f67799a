"""The charts of the analytics page, as options of ECharts: one for each thing that is measured, all over the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.apps.web.pages.plots import COLORS, GRAY

Row = Mapping[str, Any]
STEPS = 48
"""Of the time that a chart is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series: its name, its field in a row of the log's series, and by what that is multiplied."""

    name: str
    field: str
    times: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart. Bars are sums of a step, stacked; lines are its means."""

    title: str
    lines: tuple[Line, ...]
    bars: bool = False
    digits: int = 0


CHARTS = (
    Chart(title="Queries", lines=(Line(name="queries", field="queries"),), bars=True),
    Chart(
        title="Tokens",
        lines=(
            Line(name="read", field="prompt_n"),
            Line(name="known from before", field="cache_n"),
            Line(name="said", field="predicted_n"),
        ),
        bars=True,
    ),
    Chart(title="Time to the first token, ms", lines=(Line(name="mean", field="ttft_ms"),)),
    Chart(
        title="Tokens per second",
        lines=(Line(name="said", field="predicted_per_second"), Line(name="read", field="prompt_per_second")),
        digits=1,
    ),
    Chart(
        title="Share of the memory bandwidth limit, %",
        lines=(Line(name="reached", field="bandwidth_share", times=100),),
        digits=1,
    ),
    Chart(
        title="Memory, MB",
        lines=(Line(name="this server", field="rss_bytes", times=1e-6), Line(name="free", field="available_bytes", times=1e-6)),
    ),
    Chart(title="Temperature, °C", lines=(Line(name="hottest sensor", field="temperature_c"),), digits=1),
)


def is_empty(chart: Chart, series: Sequence[Row]) -> bool:
    """Whether nothing of it was measured."""
    values = [row.get(line.field) for row in series for line in chart.lines]
    return not any(values) if chart.bars else all(value is None for value in values)


def options(chart: Chart, series: Sequence[Row], since: float, until: float) -> dict[str, Any]:
    """The chart of those steps, from `since` to `until` (seconds since 1970)."""
    step_s = (until - since) / STEPS
    every = range(int(since / step_s), int(until / step_s) + 1)
    drawn = [_bars(line, series, every, step_s) if chart.bars else _line(chart, line, series) for line in chart.lines]
    return {
        "animation": False,
        "legend": {"right": 0, "top": 0, "textStyle": {"color": GRAY}, "icon": "roundRect", "show": len(drawn) > 1},
        "grid": {"left": 8, "right": 12, "top": 30, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis"},
        "color": list(COLORS),
        "xAxis": {
            "type": "time",
            "min": since * 1000,
            "max": until * 1000,
            "axisLabel": {"color": GRAY, "hideOverlap": True},
            "splitLine": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "minInterval": 0 if chart.digits else 1,
            "axisLabel": {"color": GRAY},
            "splitLine": {"lineStyle": {"color": "#8884"}},
        },
        "series": drawn,
        "aria": {"enabled": True, "label": {"description": described(chart, series)}},
    }


def _bars(line: Line, series: Sequence[Row], every: range, step_s: float) -> dict[str, Any]:
    """A bar for every step, in its middle: of a few bars alone, ECharts makes the time they stand in as wide as it likes."""
    sums = {round(row["at"] / step_s): row.get(line.field) or 0 for row in series}
    points = [((number + 0.5) * step_s * 1000, sums.get(number, 0)) for number in every]
    return {"name": line.name, "data": points, "type": "bar", "stack": "all", "barMaxWidth": 14}


def _line(chart: Chart, line: Line, series: Sequence[Row]) -> dict[str, Any]:
    points = [
        (row["at"] * 1000, round(row[line.field] * line.times, chart.digits))
        for row in series
        if row.get(line.field) is not None
    ]
    alone = len(points) == 1  # which makes no line
    return {"name": line.name, "data": points, "type": "line", "showSymbol": alone, "symbol": "circle", "symbolSize": 9}


def described(chart: Chart, series: Sequence[Row]) -> str:
    """The chart in words, for who cannot see it."""
    return f"{chart.title}: " + "; ".join(_said(chart, line, series) for line in chart.lines)


def _said(chart: Chart, line: Line, series: Sequence[Row]) -> str:
    values = [row[line.field] * line.times for row in series if row.get(line.field) is not None]
    if not values:
        return f"{line.name} was not measured"
    if chart.bars:
        return f"{line.name} {sum(values):,.0f} in all"
    least, most = (f"{value:,.{chart.digits}f}" for value in (min(values), max(values)))
    return f"{line.name} {least}" if least == most else f"{line.name} {least} to {most}"
