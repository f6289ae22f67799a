"""Why the detector found what it found: one detection of a frozen picture, and what of the picture spoke for it."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from nicegui import ui

from edgekit.apps.vision.analyst import Look
from edgekit.apps.vision.explaining import Explained, Explains, heated
from edgekit.apps.vision.live import CameraWatch
from edgekit.apps.vision.overlay import jpeg
from edgekit.apps.vision.site import SiteWatch
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.apps.web.pages.parts import empty, heading, icon, panel
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import InputError

BUDGETS = {1.0: "1 s", 2.0: "2 s", 5.0: "5 s", 15.0: "15 s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A look that stands still, and what it shows of each track."""

    look: Look
    names: tuple[str, ...]

    def detection(self, row: int) -> Boxes:
        tracks = self.look.people.tracks
        return Boxes(
            boxes=tracks.boxes[row : row + 1], scores=tracks.scores[row : row + 1], class_ids=tracks.class_ids[row : row + 1]
        )


def frozen(watch: CameraWatch) -> Frozen:
    """The camera's newest look. Raises `InputError` before the first."""
    look = watch.look
    if look is None:
        raise InputError("the camera has no picture yet", "wait until it is live")
    tracks = look.people.tracks
    rows = zip(tracks.ids, tracks.class_ids, tracks.scores, strict=True)
    labels = watch.labels or ("person",)
    return Frozen(look=look, names=tuple(f"{labels[int(kind)]} {track} · {score:.0%}" for track, kind, score in rows))


class ExplainPage:
    """One visitor's question. The detector that watches answers, between the frames it looks at."""

    def __init__(self, site: SiteWatch, explain: Explains) -> None:
        self._site, self._explain = site, explain
        self._frozen: Frozen | None = None

    def draw(self, visit: Visit) -> None:
        names = list(self._site.cameras)
        self._camera = visit.query.get("camera", names[0])
        self._site.camera(self._camera)
        heading("Explain", "Freeze the picture and ask the detector what spoke for what it found. It takes time from watching.")
        with ui.element("div").classes("vi-live vi-wide"):
            with panel(classes="vi-explained"):
                self._picture = ui.html("", sanitize=False)
                self._said = ui.label("").classes("ek-muted").props("role=status")
                self._nothing = empty("No picture frozen", "choose a camera and freeze its picture", "center_focus_strong")
            with panel(classes="vi-side"):
                choice = ui.select(names, label="Camera", value=self._camera).props("outlined dense options-dense")
                choice.on_value_change(lambda event: self._choose(str(event.value)))
                with ui.button("Freeze the picture", on_click=self._freeze).props("unelevated no-caps"):
                    icon("ac_unit").classes("on-right")
                self._budget = ui.select(BUDGETS, label="Time it may take", value=2.0).props("outlined dense options-dense")
                self._found = ui.element("div").classes("vi-shapes")

    def _choose(self, camera: str) -> None:
        self._camera = camera

    def _freeze(self) -> None:
        watch = self._site.camera(self._camera)
        self._frozen = frozen(watch)
        self._show(watch.showing.picture(self._frozen.look))
        self._said.set_text("Choose what is to be explained." if self._frozen.names else "Nothing is followed in this picture.")
        self._found.clear()
        with self._found:
            for row, name in enumerate(self._frozen.names):
                ui.button(f"Why {name}?", on_click=lambda row=row: self._ask(row)).props("outline no-caps")

    async def _ask(self, row: int) -> None:
        held, watch = self._frozen, self._site.camera(self._camera)
        if held is None:
            return
        self._said.set_text("Asking the detector …")
        begun = perf_counter()
        found = await asyncio.to_thread(
            self._explain, self._site.detector, held.look.frame, held.detection(row), budget_s=float(self._budget.value)
        )
        if held is not self._frozen:
            return
        self._show(heated(watch.showing.picture(held.look), found.heat), held, row)
        self._said.set_text(said(held.names[row], found, perf_counter() - begun))

    def _show(self, picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], held: Frozen | None = None, row: int = 0) -> None:
        """The picture, and the box of what is explained."""
        self._nothing.set_visibility(False)
        box = "" if held is None else _box(held, row)
        data = base64.b64encode(jpeg(picture, 88)).decode()
        self._picture.set_content(
            f'<div class="vi-still"><img src="data:image/jpeg;base64,{data}" alt="the frozen picture">{box}</div>'
        )


def said(name: str, found: Explained, seconds: float) -> str:
    """How the answer was found."""
    cut = " The time ran out: more of it would make the map finer." if found.timed_out else ""
    return f"What spoke for {name}: {found.method}, {seconds:.1f} s.{cut}"


def _box(held: Frozen, row: int) -> str:
    frame = held.look.frame
    x1, y1, x2, y2 = (
        100 * held.look.people.tracks.boxes[row] / [frame.width, frame.height, frame.width, frame.height]
    ).tolist()
    style = f"left:{x1:.2f}%;top:{y1:.2f}%;width:{x2 - x1:.2f}%;height:{y2 - y1:.2f}%"
    return f'<div class="vi-box" style="{style}" aria-hidden="true"></div>'
