"""One camera alone: its picture, what each stage takes, its events, its settings."""

from __future__ import annotations

from time import monotonic

from nicegui import ui

from edgekit.apps.vision.pages.alerts import Alerts
from edgekit.apps.vision.pages.parts import Trouble, back, figures, picture, show_state
from edgekit.apps.vision.pages.settings import Settings
from edgekit.apps.vision.watching.camera import CameraWatch
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.parts import heading, panel
from edgekit.apps.web.pages.plots import Rolling
from edgekit.apps.web.shell import Visit

STAGES = ("motion", "presence", "prepare", "detect", "decode boxes", "pose", "track", "rules", "show")
"""As they follow upon each other; `show` is drawing and encoding, which nobody pays for while nobody watches."""
LOOK_S = 1.0


class CameraPage:
    """One visitor's view of one camera; `alone` when the site has no other."""

    def __init__(self, site: SiteWatch, watch: CameraWatch, *, alone: bool = False) -> None:
        self._site, self._watch, self._alone = site, watch, alone
        self._names = [name for name in STAGES if name not in site.unused]
        self._captured: int | None = None
        self._counted_s = 0.0

    def draw(self, visit: Visit) -> None:
        name = self._watch.camera.name
        if not self._alone:
            back("/", "All cameras")
        heading(name.capitalize() if self._alone else name, self._watch.camera.source.shown)
        self._trouble = Trouble(self._site)
        with ui.element("div").classes("vi-live vi-wide"):
            with ui.element("div").classes("vi-main"):
                self._live = picture(self._watch)
                self._figures = ui.label("").classes("ek-muted vi-figures")
                with ui.element("div").classes("vi-plots"):
                    with panel():
                        self._stages = Rolling("Time of each stage", "ms", self._names, stacked=True)
                    with panel():
                        self._rates = Rolling("Frames", "a second", ["source", "looked at"])
            with ui.element("div").classes("vi-side"):
                with panel("Newest events"):
                    self._alerts = Alerts(self._site, name)
                    ui.link("All events", f"/events?camera={name}").classes("vi-more")
                with panel("Settings"):
                    self._settings = Settings(self._site, self._watch, visit.user)
        self._look()
        ui.timer(LOOK_S, self._look)

    def _look(self) -> None:
        found = self._site.cameras.get(self._watch.camera.name)
        if found is not self._watch:
            ui.navigate.reload()
            return
        status = self._watch.status()
        show_state(self._live, self._watch, status)
        frames = f"{status.feed.captured} frames, {status.feed.dropped} passed over"
        self._figures.set_text(" · ".join(filter(None, [figures(status), frames])))
        self._trouble.look()
        self._alerts.look()
        self._settings.look()
        self._plot(status.fps, status.feed.captured)

    def _plot(self, fps: float, captured: int) -> None:
        took = self._watch.stages.latest()
        self._stages.add([round(took.get(name, 0.0), 2) for name in self._names])
        now, before, counted_s = monotonic(), self._captured, self._counted_s
        self._captured, self._counted_s = captured, now
        if before is not None:
            self._rates.add([round((captured - before) / max(now - counted_s, 1e-3), 1), round(fps, 1)])
