"""Plots of what changes while one looks: a few series in one scale, over their last values or over the last minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any

from nicegui import ui

GRAY = "#8a918b"
COLORS = ("#0b7fd0", "#e08a1e", "#3aa675", "#a466d6", "#d6577a", "#6b7a2e", "#17a2b8", "#8a6d4f", "#7d7f86", "#c2478d")
"""Told apart by people who see fewer colours, on light and on dark."""
Moment = tuple[float, Sequence["float | None"]]
"""When, in seconds since 1970, and a value for every series; None where there was none."""
OUTLIER = 6
"""What is so many times the median runs off the top: a single stall would flatten two minutes. Its number is told where one points."""


class Rolling:
    """A line for each of `names` over the last `kept` values, which are counted below; `unit` stands beside the title."""

    def __init__(self, title: str, unit: str, names: Sequence[str], *, kept: int = 60) -> None:
        self._rows: deque[tuple[float, ...]] = deque(maxlen=kept)
        self._count = 0
        options = _options(f"{title}, {unit}", names)
        options["xAxis"] |= {"type": "category", "axisTick": {"show": False}, "data": list(range(1, kept + 1))}
        self.chart = ui.echart(options).classes("ek-chart")

    def add(self, values: Sequence[float]) -> None:
        """One more value for every series, in the order of their names."""
        self._rows.append(tuple(values))
        self._count += 1
        first, kept = self._count - len(self._rows), self._rows.maxlen or 1
        self.chart.options["xAxis"]["data"] = list(range(first + 1, first + kept + 1))
        for series, column in zip(self.chart.options["series"], zip(*self._rows, strict=True), strict=True):
            series["data"] = list(column)
            series["showSymbol"] = len(column) == 1  # one value makes no line
        self.chart.update()


class OverTime:
    """A line for each of `names` over the last `span_s` seconds, with the clock of this machine below, as everywhere on the pages.
    `stacked` ones stand upon each other: their sum is what the uppermost shows."""

    def __init__(self, title: str, names: Sequence[str], *, span_s: float = 120.0, stacked: bool = False) -> None:
        self._span_s, self._height, clock = span_s, sum if stacked else max, _clock()
        options = _options(title, names)
        options["xAxis"] |= {
            "type": "time",
            "splitNumber": 6,
            "axisPointer": {"label": {":formatter": f"at => ({clock})(at.value)"}},
        }
        options["xAxis"]["axisLabel"] |= {
            ":formatter": clock,
            "hideOverlap": True,
            "showMinLabel": False,
            "showMaxLabel": False,
        }
        options["dataset"] = {"source": []}
        for column, series in enumerate(options["series"], 1):
            series |= {"encode": {"x": 0, "y": column}, "data": None}
        if stacked:
            _stack(options)
        self.chart = ui.echart(options).classes("ek-chart")

    def show(self, moments: Sequence[Moment], now_s: float) -> None:
        """The moments of the last `span_s` seconds, oldest first."""
        options, begin_s = self.chart.options, now_s - self._span_s
        seen = [[round(1000 * at_s), *values] for at_s, values in moments if at_s >= begin_s]
        options["xAxis"] |= {"min": round(1000 * begin_s), "max": round(1000 * now_s)}
        options["dataset"]["source"] = seen
        options["yAxis"]["max"] = _top([self._height(value or 0.0 for value in values) for _, *values in seen])
        for series in options["series"]:
            series["showSymbol"] = len(seen) == 1
        self.chart.update()


def _top(heights: Sequence[float]) -> float | None:
    """Where the scale ends; None where the highest does not stand out."""
    usual = OUTLIER * median(heights) if heights else 0.0
    return float(f"{usual:.1g}") if usual and max(heights, default=0.0) > usual else None


def _clock() -> str:
    """JavaScript that says a moment in milliseconds since 1970 as this machine's time of day, wherever the browser is."""
    offset = datetime.now().astimezone().utcoffset()
    ahead_ms = 0 if offset is None else round(1000 * offset.total_seconds())
    return f"at => new Date(at + {ahead_ms}).toISOString().slice(11, 19)"


def _stack(options: dict[str, Any]) -> None:
    """Areas upon each other; with more of them the names stand below, where there is room."""
    for series in options["series"]:
        series.update(stack="all", areaStyle={"opacity": 0.55}, lineStyle={"width": 1})
    options["legend"] |= {"top": "bottom", "left": 0, "right": 0}
    options["grid"] |= {"bottom": 66}


def _options(title: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "animation": False,
        "title": {"text": title, "left": 0, "top": 0, "textStyle": {"fontSize": 13, "fontWeight": 600, "color": GRAY}},
        "legend": {
            "right": 0, "top": 0, "textStyle": {"color": GRAY}, "icon": "roundRect", "itemWidth": 14, "itemHeight": 9,
            "show": len(names) > 1,
        },
        "grid": {"left": 4, "right": 28, "top": 38, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True},
        "color": list(COLORS),
        "xAxis": {"axisLabel": {"color": GRAY}, "splitLine": {"show": False}},
        "yAxis": {"type": "value", "min": 0, "axisLabel": {"color": GRAY}, "splitLine": {"lineStyle": {"color": "#8884"}}},
        "series": [{"name": name, "type": "line", "showSymbol": False, "data": []} for name in names],
        "aria": {"enabled": True},
    }  # fmt: skip
