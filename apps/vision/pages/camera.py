"""One camera alone: its picture, what each stage takes, its events, its settings."""

from __future__ import annotations

from time import time

from nicegui import ui

from edgekit.apps.vision.pages.alerts import Alerts
from edgekit.apps.vision.pages.parts import Legend, Trouble, back, figures, picture, show_state
from edgekit.apps.vision.pages.settings import Settings
from edgekit.apps.vision.showing.segmentation import legend
from edgekit.apps.vision.watching.camera import CameraWatch
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.parts import heading, panel
from edgekit.apps.web.pages.plots import OverTime
from edgekit.apps.web.shell import Visit

STAGES = ("decode", "motion", "presence", "prepare", "detect", "decode boxes", "pose", "track", "rules", "encode clip", "show")
"""As they follow upon each other."""
WHAT = "Of one frame each. Show is drawing and encoding the picture above, which nobody pays for while nobody watches."
LOOK_S = 1.0


class CameraPage:
    """One visitor's view of one camera; `alone` when the site has no other."""

    def __init__(self, site: SiteWatch, watch: CameraWatch, *, alone: bool = False) -> None:
        self._site, self._watch, self._alone = site, watch, alone
        self._names = [name for name in STAGES if name not in site.unused]

    def draw(self, visit: Visit) -> None:
        name = self._watch.camera.name
        if not self._alone:
            back("/", "All cameras")
        heading(name.capitalize() if self._alone else name, self._watch.camera.source.shown)
        self._trouble = Trouble(self._site)
        with ui.element("div").classes("vi-live vi-wide"):
            with ui.element("div").classes("vi-main"):
                self._live = picture(self._watch)
                self._legend = Legend() if self._watch.segments else None
                self._figures = ui.label("").classes("ek-muted vi-figures")
                with ui.element("div").classes("vi-plots"):
                    with panel():
                        self._stages = OverTime("Time of each stage, ms", self._names, stacked=True)
                        ui.label(WHAT).classes("ek-muted")
                    with panel():
                        self._rates = OverTime("Frames a second", ["source", "looked at"])
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
        passed = f"{status.feed.dropped} of them passed over for newer ones"
        frames = f"{status.feed.captured} frames" + (f", {passed}" if status.feed.dropped else "")
        self._figures.set_text(" · ".join(filter(None, [figures(status), frames])))
        if self._legend is not None:
            self._legend.show(legend(self._watch.look, self._watch.camera, self._watch.labels))
        self._trouble.look()
        self._alerts.look()
        self._settings.look()
        self._plot()

    def _plot(self) -> None:
        notes, now_s = self._watch.history.notes, time()
        self._stages.show([(note.at_s, [note.stages_ms.get(name, 0.0) for name in self._names]) for note in notes], now_s)
        self._rates.show([(note.at_s, (round(note.source_fps, 1), round(note.looks_fps, 1))) for note in notes], now_s)
