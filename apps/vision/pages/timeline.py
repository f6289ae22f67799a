"""When events happened: a bar for each stretch of time, in the colours of their severities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nicegui import ui
from nicegui.events import EChartPointClickEventArguments

from edgekit.apps.vision.pages.words import SEVERITIES
from edgekit.apps.vision.recording.store import EventStore, Query
from edgekit.apps.web.pages.plots import GRAY

BINS = 48
COLORS = {"high": "#d6455d", "medium": "#e08a1e", "low": "#0b7fd0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From one time to another, in seconds since 1970."""

    since_s: float
    until_s: float

    @property
    def width_s(self) -> float:
        return max(self.until_s - self.since_s, 1.0) / BINS

    def part(self, index: int) -> Span:
        """One of its bars."""
        begin = self.since_s + index * self.width_s
        return Span(since_s=begin, until_s=begin + self.width_s)


class Timeline:
    """The bars of what a query asks for; `chosen` is told of the stretch that somebody pressed."""

    def __init__(self, store: EventStore, chosen: Callable[[Span], Any]) -> None:
        self._store, self._chosen = store, chosen
        self._span = Span(since_s=0.0, until_s=1.0)
        self._chart = ui.echart(_options(), on_point_click=self._pressed).classes("vi-timeline")
        self._chart.props('aria-label="Events over time"')

    def show(self, query: Query, span: Span) -> None:
        self._span = span
        counts = self._store.histogram(query, span.since_s, span.width_s)
        options = self._chart.options
        options["xAxis"]["data"] = [_named(span.part(index).since_s, span.width_s) for index in range(BINS)]
        for series in options["series"]:
            series["data"] = [counts.get((index, series["name"]), 0) for index in range(BINS)]
        self._chart.update()

    def _pressed(self, event: EChartPointClickEventArguments) -> None:
        self._chosen(self._span.part(int(event.data_index)))


def _named(since_s: float, width_s: float) -> str:
    """A bar's time, as exact as it is wide."""
    when = datetime.fromtimestamp(since_s)
    if width_s < 60:
        return f"{when:%H:%M:%S}"
    return f"{when:%H:%M}" if width_s <= 1800 else f"{when:%d %b %H:%M}" if width_s < 86400 else f"{when:%d %b %Y}"


def _options() -> dict[str, Any]:
    return {
        "grid": {"left": 34, "right": 8, "top": 10, "bottom": 24},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
        "color": [COLORS[name] for name in SEVERITIES],
        "xAxis": {"type": "category", "data": [], "axisLabel": {"color": GRAY}, "axisTick": {"show": False}},
        "yAxis": {
            "type": "value",
            "minInterval": 1,
            "axisLabel": {"color": GRAY},
            "splitLine": {"lineStyle": {"color": "#8883"}},
        },
        "series": [{"name": name, "type": "bar", "stack": "all", "barCategoryGap": "12%", "data": []} for name in SEVERITIES],
        "animation": False,
        "aria": {"enabled": True},
    }
