"""The page: a panel for every group with its rollout, and a table of all boards that can be searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from edgekit.apps.web.pages.parts import empty, heading, panel, problem
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import EdgekitError
from edgekit.fleet.desk.desk import Desk
from edgekit.fleet.desk.figures import sentence

REFRESH_S = 2.0
ROWS = 50
COLUMNS = (
    ("device", "Board"),
    ("state", "State"),
    ("alert", "Alerts"),
    ("fps", "FPS"),
    ("latency_ms", "Latency, ms"),
    ("temperature_c", "°C"),
    ("heard_s", "Heard"),
    ("group", "Group"),
    ("app", "App"),
    ("release", "Release"),
    ("edgekit", "edgekit"),
)
"""What a narrow screen shows without scrolling comes first."""
NUMBER = "value => value === null ? '' : value.toFixed(1)"
AGO = """value => {
    if (value === null) return 'never';
    const [seconds, unit] = [[86400, 'days'], [3600, 'h'], [60, 'min']].find(([s]) => value >= 2 * s) ?? [1, 's'];
    return `${(value / seconds).toFixed(0)} ${unit} ago`;
}"""
FORMATS = {"temperature_c": NUMBER, "fps": NUMBER, "latency_ms": NUMBER, "heard_s": AGO}
"""Numbers stay numbers until they are shown, so that they are sorted as such."""
UNDER_WAY = ("running", "paused")
PHASES = {"running": "under way", "returning": "going back", "returned": "taken back", "finishing": "nearly done"}


class FleetPage:
    """One visit: its filter and its sorting stay while the figures change."""

    def __init__(self, desk: Desk, visit: Visit) -> None:
        self._desk, self._visit = desk, visit
        self._drawn: object = None

    def draw(self) -> None:
        """The frame, filled at once and then again and again."""
        heading("Boards", f"The fleet {self._desk.access.fleet}, as {self._desk.access.name} sees it.")
        self._notice = ui.element("div")
        self._groups = ui.element("div").classes("fl-groups")
        with panel():
            with ui.row().classes("items-center fl-bar"):
                filter_box = ui.input("Filter").props("dense clearable aria-label=Filter").classes("fl-filter")
                self._count = ui.label().classes("ek-muted").props("role=status")
            table = ui.table(columns=[_column(*each) for each in COLUMNS], rows=[], row_key="device", pagination=ROWS)
            self._table = table.classes("fl-table").props("dense flat").bind_filter_from(filter_box, "value")
            self._table.add_slot("body-cell-alert", ALERT_CELL)
        self._refresh()
        ui.timer(REFRESH_S, self._refresh)

    def _refresh(self) -> None:
        boards, groups = self._desk.boards(), self._desk.groups()
        self._table.rows = [_row(board) for board in boards]
        self._table.update()
        alerts = sum(bool(board["alerts"]) for board in boards)
        self._count.text = f"{len(boards)} boards, {alerts} with something to look at"
        if (state := (self._desk.is_up, groups)) != self._drawn:
            self._drawn = state
            self._draw_groups(groups)

    def _draw_groups(self, groups: list[dict[str, Any]]) -> None:
        self._notice.clear()
        with self._notice:
            if not self._desk.is_up:
                problem(f"the server at {self._desk.access.url} does not answer: what is shown is what was known last")
            elif not groups:
                empty("No board is enrolled yet", "edgekit fleet enroll NAME --group GROUP", "dns")
        self._groups.clear()
        with self._groups:
            for group in groups:
                self._draw_group(group)

    def _draw_group(self, group: Mapping[str, Any]) -> None:
        rollout = group["rollout"]
        with panel(classes="fl-group"):
            with ui.row().classes("items-baseline"):
                ui.label(group["group"]).classes("fl-name").props("role=heading aria-level=2")
                ui.label(f"{group['boards']} boards").classes("ek-muted")
            if rollout is None:
                ui.label(sentence(group["medians"])).classes("ek-muted")
                ui.label("No rollout yet").classes("ek-muted")
                return
            phase = PHASES.get(rollout["phase"], rollout["phase"])
            ui.label(f"{rollout['name']} by {rollout['by']}: {phase}").classes("fl-phase")
            share = rollout["ok"] / max(1, group["boards"])
            bar = ui.linear_progress(share, show_value=False, size="10px").classes("fl-progress")
            bar.props(f'aria-label="{rollout["ok"]} of {group["boards"]} boards"')
            wave = f"wave {rollout['wave']} of {len(rollout['waves'])}"
            ui.label(f"{rollout['ok']} of {group['boards']} have it, {wave}, {len(rollout['failed'])} failed").classes(
                "ek-muted"
            )
            if measured := sentence(group["medians"]):
                ui.label(measured).classes("ek-muted")
            if rollout["reason"]:
                ui.label(rollout["reason"]).classes("fl-reason")
            if rollout["phase"] in UNDER_WAY and self._visit.user.may("admin"):
                self._draw_buttons(group["group"], rollout["phase"])

    def _draw_buttons(self, group: str, phase: str) -> None:
        with ui.row():
            if phase == "running":
                ui.button("Pause", on_click=lambda: self._change(group, "pause")).props("outline")
            else:
                ui.button("Resume", on_click=lambda: self._change(group, "resume")).props("outline")
            ui.button("Halt and go back", color="negative", on_click=lambda: self._change(group, "abort"))

    async def _change(self, group: str, verb: str) -> None:
        """The role is asked again: what a browser sends is not what was drawn."""
        if not self._visit.user.may("admin"):
            ui.notify("this needs the role admin", type="negative")
            return
        try:
            await self._desk.change(group, verb, self._visit.user.name)
        except EdgekitError as exc:
            ui.notify(exc.message, type="negative")
            return
        ui.notify(f"{group}: {verb}", type="positive")
        self._refresh()


ALERT_CELL = """
<q-td :props="props" :class="props.value ? 'fl-alerts' : ''"><span :class="props.value ? 'fl-alert' : ''">{{ props.value }}</span></q-td>
"""


def _row(board: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: board[key] for key, _ in COLUMNS if key != "alert"}, "alert": "; ".join(board["alerts"])}


def _column(key: str, text: str) -> dict[str, Any]:
    is_number = FORMATS.get(key) == NUMBER
    shown = {":format": FORMATS[key]} if key in FORMATS else {}
    return {"name": key, "label": text, "field": key, "sortable": True, "align": "right" if is_number else "left", **shown}
