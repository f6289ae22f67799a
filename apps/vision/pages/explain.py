"""Why the detector found what it found: one detection of a frozen picture, and what of the picture spoke for it."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from html import escape
from time import perf_counter

import numpy as np
from nicegui import ui

from edgekit.apps.vision.explain import Explanation
from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.pages.media import media_file
from edgekit.apps.vision.rules.settings import written
from edgekit.apps.vision.showing.explaining import Explainer, heated
from edgekit.apps.vision.showing.overlay import Picture, jpeg
from edgekit.apps.vision.tracking.people import PERSON
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.apps.vision.watching.camera import SNAPSHOTS
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.parts import empty, heading, panel
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.tasks.pictures.images import read_image

BUDGETS = {1.0: "1 s", 2.0: "2 s", 5.0: "5 s", 15.0: "15 s"}
HOW = {
    "cells": "the scores of the cells that proposed it, in one run",
    "occlusion": "what it lost while each place was covered",
    "d-rise": "what it lost behind random masks",
    "grad-cam": "the gradients in the model that it was made from",
}
"""The methods in words."""
CHOICES = {
    "auto": "Automatic",
    "cells": "Cells of its head",
    "occlusion": "Occlusion",
    "d-rise": "D-RISE",
    "grad-cam": "Grad-CAM",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A picture that stands still, the frame it is of, and what was found in it, by name."""

    frame: Frame
    picture: Picture
    found: Boxes
    names: tuple[str, ...]


def of_camera(site: SiteWatch, name: str) -> Frozen:
    """The camera's newest look, and what the detector shows in it: who is only believed to be there has nothing that could be
    explained. Raises `NotFound`, and `InputError` before the first."""
    watch = site.camera(name)
    look = watch.look
    if look is None:
        raise InputError(f"the camera {name!r} has no picture yet", "wait until it is live")
    tracks, labels = look.people.tracks.take(look.people.tracks.fresh), watch.labels or ("person",)
    rows = zip(tracks.ids, tracks.class_ids, tracks.scores, strict=True)
    return Frozen(
        frame=look.frame,
        picture=watch.showing.picture(look),
        found=Boxes(boxes=tracks.boxes, scores=tracks.scores, class_ids=tracks.class_ids),
        names=tuple(f"{labels[int(kind)]} {track} · {score:.0%}" for track, kind, score in rows),
    )


def of_event(site: SiteWatch, number: int) -> Frozen:
    """The picture that began an event, and whom it is about. Raises `NotFound` where there is none."""
    stored = site.store.get(number)
    if stored.media.box is None or not stored.media.snapshot:
        raise NotFound(f"of event {number} no picture with a box was kept", "choose another event")
    picture = read_image(media_file(site.folder / SNAPSHOTS, stored.media.snapshot))
    height, width = picture.shape[:2]
    rules = written(site.cameras[stored.event.camera].camera) if stored.event.camera in site.cameras else ()
    label = next((rule.label for rule in rules if rule.name == stored.event.rule), "person")
    kind = site.detector.labels.index(label) if label in site.detector.labels else PERSON
    box = np.array([stored.media.box]) * [width, height, width, height]
    found = Boxes(boxes=box, scores=np.array([stored.event.score]), class_ids=np.array([kind]))
    frame = from_rgb(picture, number=0, time_s=0.0)
    return Frozen(frame=frame, picture=picture, found=found, names=(f"{label} of event {number}",))


class ExplainPage:
    """One visitor's question. The detector that watches answers, between the frames it looks at."""

    def __init__(self, site: SiteWatch, explain: Explainer) -> None:
        self._site, self._explain = site, explain
        self._frozen: Frozen | None = None

    def draw(self, visit: Visit) -> None:
        names, event = list(self._site.cameras), visit.query.get("event", "")
        self._camera = visit.query.get("camera", names[0])
        heading("Explain", "Freeze a picture and ask the detector what spoke for what it found. That takes time from watching.")
        with ui.element("div").classes("vi-live vi-wide"):
            with panel(classes="vi-explained"):
                self._picture = ui.html("", sanitize=False)
                self._said = ui.label("").classes("ek-muted").props("role=status")
                self._nothing = empty("No picture frozen", "choose a camera and freeze its picture", "center_focus_strong")
            with panel(classes="vi-side"):
                choice = ui.select(names, label="Camera", value=self._camera if self._camera in names else names[0])
                choice.props("outlined dense options-dense").on_value_change(lambda event: self._choose(str(event.value)))
                ui.button("Freeze the picture", on_click=lambda: self._hold(of_camera(self._site, self._camera))).props(
                    "unelevated no-caps"
                )
                ways = {name: CHOICES[name] for name in self._explain.methods}
                self._method = ui.select(ways, label="How", value="auto").props("outlined dense options-dense")
                self._budget = ui.select(BUDGETS, label="Time it may take", value=2.0).props("outlined dense options-dense")
                self._found = ui.element("div").classes("vi-shapes")
        if event.isascii() and event.isdigit() and len(event) < 16:
            self._hold(of_event(self._site, int(event)))

    def _choose(self, camera: str) -> None:
        self._camera = camera

    def _hold(self, held: Frozen) -> None:
        self._frozen = held
        self._show(held.picture, "".join(_box(held, row, named=True) for row in range(len(held.names))))
        self._said.set_text(
            "Choose what is to be explained." if held.names else "The detector shows nothing that is followed in this picture."
        )
        self._found.clear()
        with self._found:
            for row, name in enumerate(held.names):
                ui.button(f"Why {name}?", on_click=lambda row=row: self._ask(held, row)).props("outline no-caps")

    async def _ask(self, held: Frozen, row: int) -> None:
        self._said.set_text("Asking the detector …")
        begun, one = perf_counter(), held.found.take(np.array([row]))
        budget_s, method = float(self._budget.value), str(self._method.value)
        try:
            found = await asyncio.to_thread(self._explain, held.frame, one, budget_s=budget_s, method=method)
        except EdgekitError as exc:
            self._said.set_text(f"{exc.message}. {exc.hint}".strip())
            return
        if held is self._frozen:
            self._show(heated(held.picture, found.heat), _box(held, row))
            self._said.set_text(said(held.names[row], found, perf_counter() - begun))

    def _show(self, picture: Picture, box: str = "") -> None:
        """The picture, and the box of what is explained."""
        self._nothing.set_visibility(False)
        data = base64.b64encode(jpeg(picture, 88)).decode()
        image = f'<img src="data:image/jpeg;base64,{data}" alt="the frozen picture">'
        shape = f"--shape: {picture.shape[1] / picture.shape[0]:.4f}"
        self._picture.set_content(f'<div class="vi-still vi-frozen" style="{shape}">{image}{box}</div>')


def said(name: str, found: Explanation, seconds: float) -> str:
    """How the answer was found."""
    cut = " The time ran out: more of it would make the map finer." if found.timed_out else ""
    return f"What spoke for {name}: {HOW.get(found.method, found.method)}, {_seconds(seconds)}. Red is most, yellow less.{cut}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{max(1000 * seconds, 1):.0f} ms"


def _box(held: Frozen, row: int, *, named: bool = False) -> str:
    """The box of one row over the picture, with its name where there are several."""
    size = [held.frame.width, held.frame.height] * 2
    x1, y1, x2, y2 = (100 * held.found.boxes[row] / size).tolist()
    style = f"left:{x1:.2f}%;top:{y1:.2f}%;width:{x2 - x1:.2f}%;height:{y2 - y1:.2f}%"
    name = f"<span>{escape(held.names[row].partition(' · ')[0])}</span>" if named else ""
    return f'<div class="vi-box{" vi-named" if named else ""}" style="{style}" aria-hidden="true">{name}</div>'
