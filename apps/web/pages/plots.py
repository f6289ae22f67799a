"""Plots of what changes while one looks: the last so many values of a few series, in one scale."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from nicegui import ui

GRAY = "#8a918b"
COLORS = ("#0b7fd0", "#e08a1e", "#3aa675", "#a466d6", "#d6577a", "#6b7a2e", "#17a2b8", "#8a6d4f", "#7d7f86")
"""Told apart by people who see fewer colours, on light and on dark."""


class Rolling:
    """A line for each of `names` over the last `kept` values; `unit` stands beside the title. `stacked` ones stand upon each
    other: their sum is what the uppermost shows."""

    def __init__(self, title: str, unit: str, names: Sequence[str], *, kept: int = 60, stacked: bool = False) -> None:
        self._rows: deque[tuple[float, ...]] = deque(maxlen=kept)
        options = _options(f"{title}, {unit}", names, kept)
        if stacked:
            _stack(options)
        self.chart = ui.echart(options).classes("ek-chart")

    def add(self, values: Sequence[float]) -> None:
        """One more value for every series, in the order of their names."""
        self._rows.append(tuple(values))
        for series, column in zip(self.chart.options["series"], zip(*self._rows, strict=True), strict=True):
            series["data"] = list(column)
            series["showSymbol"] = len(column) == 1  # one value makes no line
        self.chart.update()


def _stack(options: dict[str, Any]) -> None:
    """Areas upon each other; with more of them the names stand below, where there is room."""
    for series in options["series"]:
        series.update(stack="all", areaStyle={"opacity": 0.55}, lineStyle={"width": 1})
    options["legend"] |= {"top": "bottom", "left": 0, "right": 0, "itemWidth": 14, "itemHeight": 9}
    options["grid"] |= {"bottom": 56}


def _options(title: str, names: Sequence[str], kept: int) -> dict[str, Any]:
    return {
        "title": {"text": title, "left": 0, "textStyle": {"fontSize": 13, "fontWeight": 600, "color": GRAY}},
        "legend": {"right": 0, "top": 0, "textStyle": {"color": GRAY}, "icon": "roundRect"},
        "grid": {"left": 36, "right": 8, "top": 36, "bottom": 10},
        "tooltip": {"trigger": "axis"},
        "color": list(COLORS),
        "xAxis": {
            "type": "category",
            "axisLabel": {"show": False},
            "axisTick": {"show": False},
            "data": list(range(1, kept + 1)),
        },
        "yAxis": {"type": "value", "min": 0, "axisLabel": {"color": GRAY}, "splitLine": {"lineStyle": {"color": "#8884"}}},
        "series": [{"name": name, "type": "line", "showSymbol": False, "data": []} for name in names],
        "aria": {"enabled": True},
    }
