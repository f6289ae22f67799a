"""The page of figures: what was asked how often, how fast it was answered, and what it took of the machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from nicegui import ui

from edgekit.apps.assistant.analytics import Log
from edgekit.apps.assistant.pages.answer import seconds
from edgekit.apps.assistant.pages.charts import CHARTS, is_empty, options
from edgekit.apps.web.pages.parts import empty, heading, panel
from edgekit.apps.web.shell import Visit

DAY_S, STEPS = 86_400.0, 48
PERIODS = {1 / 24: "Hour", 1.0: "Day", 7.0: "Week", 30.0: "Month"}
KEEP = {7.0: "a week", 30.0: "30 days", 90.0: "90 days", 365.0: "a year", 0.0: "for ever"}
EVERY_S = 10.0
RECENT = 20
WHY_NOT = "No model has spoken, this machine has no sensor for it, or no profile knows its limit."


class AnalyticsPage:
    """One visitor's page."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def draw(self, visit: Visit) -> None:
        """Make the page's elements."""
        heading("Analytics", "Counts and times of this machine alone; never what was asked or said.")
        with ui.element("div").classes("as-analytics-head"):
            self._period = ui.toggle(PERIODS, value=1.0, on_change=self._show).props('no-caps unelevated aria-label="Period"')
            self._period.classes("ek-look")
        self._figures = ui.element("div")
        self._settings(may_change=visit.user.may("admin"))
        self._show()
        ui.timer(EVERY_S, self._show)

    def _show(self) -> None:
        days, until = float(self._period.value or 1.0), time.time()
        since = until - days * DAY_S
        summary, series = self._log.summary(since), self._log.series(since, days * DAY_S / STEPS)
        self._figures.clear()
        with self._figures:
            if not summary["queries"]:
                empty("Nothing was asked in this time", "" if self._log.is_on else "The log is off.", "query_stats")
                return
            _tiles(summary)
            with ui.element("div").classes("as-charts"):
                for chart in CHARTS:
                    if not is_empty(chart, series):
                        with panel(chart.title):
                            ui.echart(options(chart, series, since, until)).classes("ek-chart")
            if absent := [chart.title for chart in CHARTS if is_empty(chart, series)]:
                ui.label(_not_measured(absent)).classes("ek-muted")
            self._recent()

    def _recent(self) -> None:
        with panel("The last queries"), ui.element("div").classes("as-scroll"):
            ui.html(_table(self._log.recent(RECENT)), sanitize=False)

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

    def _turn(self, on: bool) -> None:
        self._log.turn(on)
        self._show()

    async def _keep(self, days: float) -> None:
        await asyncio.to_thread(self._log.keep_for, days)
        self._show()

    async def _forget(self) -> None:
        await asyncio.to_thread(self._log.forget)
        self._show()
        ui.notify("All queries are forgotten", type="positive")


def _not_measured(titles: list[str]) -> str:
    return f"Not measured in this time: {'; '.join(titles)}. {WHY_NOT}"


def _tiles(summary: Mapping[str, Any]) -> None:
    with ui.element("dl").classes("as-tiles"):
        for name, value in _headline(summary):
            with ui.element("div").classes("as-tile"):
                ui.html(f"<dd>{value}</dd><dt>{name}</dt>", sanitize=False)


def _headline(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "queries", f"{summary['queries']:,}"
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
        row["outcome"],
        "–" if first is None else seconds(first),
        f"{rate:.1f}" if rate else "–",
        row["prompt_n"],
        row["cache_n"],
        row["predicted_n"],
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
