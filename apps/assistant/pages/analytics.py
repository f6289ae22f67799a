"""The page of figures: what was asked how often, how fast it was answered, and what it took of the machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nicegui import ui

from edgekit.apps.assistant.analytics import Log
from edgekit.apps.assistant.pages.answer import seconds
from edgekit.apps.assistant.pages.charts import CHARTS, STEPS, Chart, is_empty, options
from edgekit.apps.web.pages.parts import empty, heading, panel
from edgekit.apps.web.shell import Visit

DAY_S = 86_400.0
PERIODS = {1 / 24: "Hour", 1.0: "Day", 7.0: "Week", 30.0: "Month"}
KEEP = {7.0: "a week", 30.0: "30 days", 90.0: "90 days", 365.0: "a year", 0.0: "for ever"}
EVERY_S = 10.0
RECENT = 20
WHY_NOT = "No model has spoken, this machine has no sensor for it, or no profile knows its limit."


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the log says of a time, from `since` to `until` in seconds since 1970."""

    since: float
    until: float
    summary: Mapping[str, Any]
    series: list[dict[str, Any]]
    recent: list[dict[str, Any]]

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Those that have something to show."""
        return tuple(chart for chart in CHARTS if not is_empty(chart, self.series))


class AnalyticsPage:
    """One visitor's page. Its elements stay while their figures change, until others are measured."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._drawn: tuple[Chart, ...] | None = None

    async def draw(self, visit: Visit) -> None:
        """Make the page's elements."""
        heading("Analytics", "Counts and times of this machine alone; never what was asked or said.")
        with ui.element("div").classes("as-analytics-head"):
            self._period = ui.toggle(PERIODS, value=1.0, on_change=self._show).props('no-caps unelevated aria-label="Period"')
            self._period.classes("ek-look")
        self._figures = ui.element("div")
        self._settings(may_change=visit.user.may("admin"))
        await self._show()
        ui.timer(EVERY_S, self._show)

    async def _show(self) -> None:
        chosen = self._period.value
        seen = await asyncio.to_thread(self._look, float(chosen or 1.0))
        if chosen != self._period.value:  # another time was chosen meanwhile, and is shown by itself
            return
        if not seen.summary["queries"]:
            self._nothing()
            return
        if self._drawn != seen.charts:
            self._make(seen.charts)
        self._tiles.set_content(_tiles(seen.summary))
        for chart, element in zip(seen.charts, self._charts, strict=True):
            element.options.clear()
            element.options.update(options(chart, seen.series, seen.since, seen.until))
            element.update()
        self._absent.set_text(_not_measured([chart.title for chart in CHARTS if chart not in seen.charts]))
        self._table.set_content(_table(seen.recent))

    def _look(self, days: float) -> Seen:
        """What the log says of the last days. It may be large: not for the thread that serves."""
        until = time.time()
        since, step = until - days * DAY_S, days * DAY_S / STEPS
        summary, series = self._log.summary(since), self._log.series(since, step)
        return Seen(since=since, until=until, summary=summary, series=series, recent=self._log.recent(RECENT))

    def _nothing(self) -> None:
        self._drawn = None
        self._figures.clear()
        with self._figures:
            empty("Nothing was asked in this time", "" if self._log.is_on else "The log is off.", "query_stats")

    def _make(self, charts: tuple[Chart, ...]) -> None:
        self._drawn, self._charts = charts, list[ui.echart]()
        self._figures.clear()
        with self._figures:
            self._tiles = ui.html("", sanitize=False)
            with ui.element("div").classes("as-charts"):
                for chart in charts:
                    with panel(chart.title):
                        self._charts.append(ui.echart({}).classes("ek-chart"))
            self._absent = ui.label("").classes("ek-muted as-absent")
            with panel("The last queries"), ui.element("div").classes("as-scroll").props("tabindex=0"):
                self._table = ui.html("", sanitize=False)

    def _settings(self, *, may_change: bool) -> None:
        with panel("What is kept"):
            if not self._log.can_be_on:
                ui.label("This server keeps no log: it was started with --no-log, or the log could not be opened.")
                return
            switch = ui.switch("Keep a log of queries", value=self._log.is_on, on_change=lambda event: self._turn(event.value))
            kept = ui.select(
                self._periods_kept(),
                label="Kept for",
                value=self._log.keep_days,
                on_change=lambda event: self._keep(event.value),
            )
            kept.props("outlined dense").classes("as-kept")
            button = ui.button("Forget all queries", on_click=self._forget).props("outline no-caps color=negative")
            for control in (switch, kept, button):
                control.set_enabled(may_change)

    def _periods_kept(self) -> dict[float, str]:
        days = self._log.keep_days
        return KEEP if days in KEEP else {days: f"{days:g} days"} | KEEP

    async def _turn(self, on: bool) -> None:
        await asyncio.to_thread(self._log.turn, on)
        await self._show()

    async def _keep(self, days: float) -> None:
        await asyncio.to_thread(self._log.keep_for, days)
        await self._show()

    async def _forget(self) -> None:
        await asyncio.to_thread(self._log.forget)
        await self._show()
        ui.notify("All queries are forgotten", type="positive")


def _not_measured(titles: list[str]) -> str:
    return f"Not measured in this time: {'; '.join(titles)}. {WHY_NOT}" if titles else ""


def _tiles(summary: Mapping[str, Any]) -> str:
    tiles = (f'<div class="as-tile"><dd>{value}</dd><dt>{name}</dt></div>' for name, value in _headline(summary))
    return f'<dl class="as-tiles">{"".join(tiles)}</dl>'


def _headline(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield ("queries" if summary["queries"] != 1 else "query"), f"{summary['queries']:,}"
    yield "tokens said", f"{summary['predicted_n']:,}"
    if (first := summary["ttft_p95_ms"]) is not None:
        yield "to the first token, 95 of 100", seconds(first)
    if (rate := summary["predicted_per_second"]) is not None:
        yield "tokens/s", f"{rate:.1f}"
    if prompt := summary["cache_n"] + summary["prompt_n"]:
        yield "of prompts known from before", f"{summary['cache_n'] / prompt:.0%}"
    if (share := summary["bandwidth_share"]) is not None:
        yield "of the bandwidth limit", f"{share:.0%}"
    if fallback := summary["by_source"].get("fallback"):
        yield "by the fallback", f"{fallback:,}"


_OUTCOMES = {"extractive": "quoted", "none": "not in documents"}
"""Of answers that no model ended, in the words of the chat's badges."""


def _table(rows: list[dict[str, Any]]) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("When", "Kind", "By", "Ended", "First token", "Tokens/s", "Read", "Known", "Said")
    )
    return f'<table class="as-table"><thead><tr>{head}</tr></thead><tbody>{"".join(map(_row, rows))}</tbody></table>'


def _row(row: Mapping[str, Any]) -> str:
    first, rate = row["ttft_ms"], row["predicted_per_second"]
    cells = (
        datetime.fromtimestamp(row["at"]).strftime("%m-%d %H:%M:%S"),
        row["kind"],
        row["source"],
        _OUTCOMES.get(row["outcome"], row["outcome"]),
        "–" if first is None else seconds(first),
        f"{rate:.1f}" if rate else "–",
        row["prompt_n"],
        row["cache_n"],
        row["predicted_n"],
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
