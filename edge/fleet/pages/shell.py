"""The fleet's shell: one page, one interface, figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Literal

from fastapi import APIRouter, Request
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from edgekit.apps.web.shell import Api, Page, Shell
from edgekit.fleet.desk.desk import Desk
from edgekit.fleet.trust.authority import Access

Verb = Literal["pause", "resume", "abort"]
FIGURES = (
    ("fps", "edgekit_fleet_fps", "Pictures a second, the median of a group's boards"),
    ("latency_ms", "edgekit_fleet_latency_ms", "Latency of the artifact alone in milliseconds, the median of a group's boards"),
)


def shell(access: Access) -> Shell:
    """Everybody who may log in sees the fleet; only an admin halts."""
    desk = Desk(access)
    return Shell(
        name="fleet",
        title=f"Fleet {access.fleet}",
        pages=lambda: _pages(desk),
        apis=(Api(prefix="/api/fleet", router=router(desk), writes="admin"),),
        lifespan=desk.open,
        collectors=(Figures(desk),),
    )


def _pages(desk: Desk) -> tuple[Page, ...]:
    """What draws is imported when somebody wants to see it."""
    from nicegui import ui

    from edgekit.fleet.pages.page import FleetPage

    ui.add_css((files("edgekit.fleet.pages") / "fleet.css").read_text(encoding="utf-8"), shared=True)
    return (Page(path="/", title="Boards", icon="dns", draw=lambda visit: FleetPage(desk, visit).draw()),)


def router(desk: Desk) -> APIRouter:
    """The fleet for programs."""
    made = APIRouter(tags=["fleet"])

    @made.get("/boards", summary="Every board")
    async def boards() -> list[dict[str, Any]]:
        return desk.boards()

    @made.get("/groups", summary="Every group and its rollout")
    async def groups() -> list[dict[str, Any]]:
        return desk.groups()

    @made.post("/groups/{group}/{verb}", summary="Pause, resume or abort a group's rollout")
    async def change(group: str, verb: Verb, request: Request) -> dict[str, str]:
        await desk.change(group, verb, request.state.user.name)
        return {"group": group, "verb": verb}

    return made


class Figures(Collector):
    """How many boards are in which state, and how many have something that a person should look at."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures now."""
        rows = self._desk.boards()
        states = GaugeMetricFamily("edgekit_fleet_boards", "Boards by state", labels=["state"])
        for state in sorted({row["state"] for row in rows}):
            states.add_metric([state], sum(row["state"] == state for row in rows))
        yield states
        alerts = sum(bool(row["alerts"]) for row in rows)
        yield GaugeMetricFamily("edgekit_fleet_alerts", "Boards with something to look at", value=alerts)
        for figure, name, text in FIGURES:
            family = GaugeMetricFamily(name, text, labels=["group"])
            for group in self._desk.groups():
                if (value := group["medians"][figure]) is not None:
                    family.add_metric([group["group"]], value)
            yield family
        yield GaugeMetricFamily("edgekit_fleet_connected", "Whether the fleet's server answers", value=float(self._desk.is_up))
