"""The page: a panel for every group with its rollout, and a table of all boards that can be searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from edgekit.apps.web.pages.parts import empty, heading, panel, problem
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import EdgekitError
from edgekit.fleet.desk.desk import Desk

REFRESH_S = 2.0
ROWS = 50
COLUMNS = (
    ("device", "Board"),
    ("group", "Group"),
    ("state", "State"),
    ("app", "App"),
    ("release", "Release"),
    ("edgekit", "edgekit"),
    ("temperature", "°C"),
    ("pictures", "FPS"),
    ("heard", "Heard"),
    ("alert", "Alerts"),
)
UNDER_WAY = ("running", "paused")


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
            columns = [{"name": key, "label": text, "field": key, "sortable": True, "align": "left"} for key, text in COLUMNS]
            table = ui.table(columns=columns, rows=[], row_key="device", pagination=ROWS)
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
                ui.label("No rollout yet").classes("ek-muted")
                return
            ui.label(f"{rollout['name']} by {rollout['by']}: {rollout['phase']}").classes("fl-phase")
            share = rollout["ok"] / max(1, group["boards"])
            bar = ui.linear_progress(share, show_value=False, size="10px").classes("fl-progress")
            bar.props(f'aria-label="{rollout["ok"]} of {group["boards"]} boards"')
            wave = f"wave {rollout['wave']} of {len(rollout['waves'])}"
            ui.label(f"{rollout['ok']} of {group['boards']} have it, {wave}, {len(rollout['failed'])} failed").classes(
                "ek-muted"
            )
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
<q-td :props="props"><span :class="props.value ? 'fl-alert' : ''">{{ props.value }}</span></q-td>
"""


def _row(board: Mapping[str, Any]) -> dict[str, Any]:
    heard = board["heard_s"]
    return {
        **{key: board[key] for key in ("device", "group", "state", "app", "release", "edgekit")},
        "temperature": _shown(board["temperature_c"]),
        "pictures": _shown(board["fps"]),
        "heard": "never" if heard is None else f"{heard:.0f} s ago",
        "alert": "; ".join(board["alerts"]),
    }


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
