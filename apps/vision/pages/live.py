"""The first page: every camera of the site in a grid, or the only one alone, and what happened last."""

from __future__ import annotations

from nicegui import ui

from edgekit.apps.vision.pages.alerts import Alerts
from edgekit.apps.vision.pages.camera import CameraPage
from edgekit.apps.vision.pages.parts import Trouble, figures, picture, show_state
from edgekit.apps.vision.watching.camera import CameraWatch
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.parts import heading, panel
from edgekit.apps.web.shell import Visit

LOOK_S, STILLS_MS = 1.0, 500
STREAMS = 4
"""Of more cameras the grid asks for single pictures: a browser keeps six connections to a server."""


class LivePage:
    """One visitor's view of all cameras."""

    def __init__(self, site: SiteWatch) -> None:
        self._site = site
        self._cards: list[Card] = []
        self._names: tuple[str, ...] = ()

    def draw(self, visit: Visit) -> None:
        if len(self._site.cameras) == 1:
            CameraPage(self._site, next(iter(self._site.cameras.values())), alone=True).draw(visit)
            return
        heading("Live", f"{len(self._site.cameras)} cameras. Choose one to see it alone, with its times and settings.")
        self._trouble = Trouble(self._site)
        with ui.element("div").classes("vi-live vi-wide"):
            self._grid = ui.element("div").classes("vi-grid")
            with panel("Newest events", classes="vi-side"):
                self._alerts = Alerts(self._site)
                ui.link("All events", "/events").classes("vi-more")
        self._look()
        ui.timer(LOOK_S, self._look)

    def _look(self) -> None:
        self._trouble.look()
        names = tuple(self._site.cameras)
        if names != self._names:
            self._names = names
            self._grid.clear()
            with self._grid:
                self._cards = [Card(watch, streams=len(names) <= STREAMS) for watch in self._site.cameras.values()]
        for card in self._cards:
            card.look()
        self._alerts.look()


class Card:
    """One camera in the grid."""

    def __init__(self, watch: CameraWatch, *, streams: bool) -> None:
        self._watch, name = watch, watch.camera.name
        with ui.link(target=f"/cameras/{name}").classes("vi-card ek-card").props(f'aria-label="The camera {name}"'):
            self._live = picture(watch, every_ms=0 if streams else STILLS_MS)
            with ui.element("div").classes("vi-card-foot"):
                ui.label(name).classes("vi-name")
                self._figures = ui.label("").classes("ek-muted")

    def look(self) -> None:
        status = self._watch.status()
        show_state(self._live, self._watch, status)
        self._figures.set_text(figures(status))
