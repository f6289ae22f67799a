"""Zones and lines, drawn on the camera's picture and written into the site's file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec
from nicegui import ui

from edgekit.apps.vision.pages.parts import Trouble, picture, show_state
from edgekit.apps.vision.pages.places import Kind, Places, Shape, new_shape, shapes_of
from edgekit.apps.vision.rules.places import Point
from edgekit.apps.vision.rules.settings import Camera, Rule, written
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.pages.parts import empty, heading, icon, panel
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import InputError

LOOK_S = 1.0
KINDS: tuple[Kind, ...] = ("zone", "line")
HELP = {
    "zone": "Press for each corner, and the first one again to close it. Or: arrow keys, space for a corner, Enter to end.",
    "line": "Press where it begins and where it ends. Who crosses it the way of the arrow goes forward.",
}


class ZonesPage:
    """One admin's draft of one camera's places."""

    def __init__(self, site: SiteWatch) -> None:
        self._site = site
        self._draft: list[Shape] = []
        self._chosen, self._changed = 0, False

    def draw(self, visit: Visit) -> None:
        names = list(self._site.cameras)
        name = visit.query.get("camera", names[0])
        self._watch = self._site.camera(name)
        heading("Zones and lines", "Drawn on the picture, kept as shares of it, written into the site's file.")
        self._trouble = Trouble(self._site)
        if len(names) > 1:
            with ui.element("div").classes("vi-filters"):
                choice = ui.select(names, label="Camera", value=name).props("outlined dense options-dense").classes("vi-select")
                choice.on_value_change(lambda event: ui.navigate.to(f"/zones?camera={event.value}"))
        with ui.element("div").classes("vi-live vi-wide"):
            with ui.element("div").classes("vi-main"):
                self._editor = Places(
                    drawn=self._drawn, moved=self._moved, chosen=self._choose, gave_up=lambda: self._advise("")
                )
                with self._editor:
                    self._live = picture(self._watch, view="plain")
                self._help = ui.label("").classes("ek-muted vi-figures").props("role=status")
            with panel(classes="vi-side"):
                self._tools()
        self._take_over(self._watch.camera)
        self._look()
        ui.timer(LOOK_S, self._look)

    def _tools(self) -> None:
        with ui.element("div").classes("vi-actions"):
            for kind in KINDS:
                add = ui.button(f"Add a {kind}", on_click=lambda kind=kind: self._advise(HELP[kind]))
                add.props("outline no-caps icon=add dense").classes("vi-add").on("click", js_handler=self._editor.draws(kind))
        self._list = ui.element("div").classes("vi-shapes")
        with ui.element("div").classes("vi-actions"):
            self._save_button = ui.button("Save", on_click=self._save).props("unelevated no-caps")
            self._discard = ui.button("Discard", on_click=lambda: self._take_over(self._watch.camera)).props("flat no-caps")

    def _look(self) -> None:
        watch = self._site.cameras.get(self._watch.camera.name)
        if watch is None:
            ui.navigate.to("/zones")
            return
        self._watch = watch
        show_state(self._live, watch, watch.status())
        self._trouble.look()
        if watch.camera is not self._base and not self._changed:
            self._take_over(watch.camera)

    def _take_over(self, camera: Camera) -> None:
        """Begin again from what counts."""
        self._base, self._draft, self._chosen, self._changed = camera, shapes_of(camera), 0, False
        self._show()

    def _advise(self, text: str) -> None:
        self._help.set_text(text)

    def _drawn(self, kind: Kind, points: tuple[Point, ...]) -> None:
        shape = new_shape(kind, points, self._draft)
        self._draft, self._chosen, self._changed = [*self._draft, shape], shape.id, True
        self._advise("Drag its corners, or tab to one and use the arrow keys; delete takes a corner away.")
        self._show()

    def _moved(self, number: int, points: tuple[Point, ...]) -> None:
        self._alter(number, points=points)

    def _choose(self, number: int) -> None:
        self._chosen = number
        self._show()

    def _alter(self, number: int, **changed: object) -> None:
        self._draft = [replace(shape, **changed) if shape.id == number else shape for shape in self._draft]  # type: ignore[arg-type]
        self._changed = True
        self._editor.show(self._draft, self._chosen)
        self._buttons()

    def _remove(self, shape: Shape) -> None:
        self._draft = [each for each in self._draft if each.id != shape.id]
        self._changed = True
        going = [rule.name for rule in _about(shape, self._base)]
        self._advise(f"With {shape.name} goes what is about it: {', '.join(going)}" if going else "")
        self._show()

    def _turn(self, shape: Shape) -> None:
        self._alter(shape.id, points=shape.points[::-1])
        self._show()

    def _show(self) -> None:
        self._editor.show(self._draft, self._chosen)
        self._list.clear()
        with self._list:
            for shape in self._draft:
                self._row(shape)
            if not self._draft:
                empty("No zones, no lines", "add one, and be told who enters or crosses it", "polyline")
        self._buttons()

    def _buttons(self) -> None:
        for button in (self._save_button, self._discard):
            button.set_enabled(self._changed)

    def _row(self, shape: Shape) -> None:
        box = ui.element("div").classes("vi-shape-row" + (" vi-chosen" if shape.id == self._chosen else ""))
        with box:
            with ui.element("div").classes("vi-shape-head"):
                icon("pentagon" if shape.kind == "zone" else "trending_flat")
                name = ui.input(value=shape.name).props(f'dense borderless aria-label="Name of the {shape.kind}" maxlength=64')
                name.on_value_change(lambda event: self._alter(shape.id, name=str(event.value or "")))
                name.on("focus", lambda: self._choose(shape.id) if shape.id != self._chosen else None)
                if shape.kind == "line":
                    _tool("swap_horiz", f"Turn {shape.name} round", lambda: self._turn(shape))
                _tool("delete_outline", f"Remove {shape.name}", lambda: self._remove(shape))
            if shape.id == self._chosen:
                self._details(shape)

    def _details(self, shape: Shape) -> None:
        """What is set about the chosen one."""
        label, step = ("Looks in a row that must agree", 1.0) if shape.kind == "zone" else ("Band, share of the picture", 0.005)
        slack = ui.number(label, value=shape.slack, step=step, min=0).props("outlined dense").classes("ek-field")
        slack.on_value_change(lambda event: self._alter(shape.id, slack=float(event.value or 0)))
        about = _about(shape, self._base)
        if about:
            ui.label(f"Rules: {', '.join(rule.name for rule in about)}").classes("ek-muted")
            return
        what = "Tell when somebody enters" if shape.kind == "zone" else "Tell when somebody crosses"
        ui.switch(what, value=shape.alerts, on_change=lambda event: self._alter(shape.id, alerts=bool(event.value))).props(
            "dense"
        )

    async def _save(self) -> None:
        camera = drafted(self._watch.camera, self._draft)
        await asyncio.to_thread(self._site.change, camera)
        self._take_over(self._watch.camera)
        self._advise("")
        ui.notify("In force, and written down", type="positive", timeout=1500)


def drafted(camera: Camera, draft: Sequence[Shape]) -> Camera:
    """The camera with the draft's places. Rules about those that have another name now follow it, those about removed ones go, and
    new ones get the rule that was asked for. Raises `InputError` for a name that two have."""
    names = [shape.name for shape in draft]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{names.count(name)} places are called {name!r}", "give each its own name")
    zones = {shape.name: shape.zone() for shape in draft if shape.kind == "zone"}
    lines = {shape.name: shape.line() for shape in draft if shape.kind == "line"}
    rules = [kept for rule in camera.rules if (kept := _followed(rule, draft)) is not None]
    asked = [_told(shape) for shape in draft if shape.alerts and not _about(shape, camera)]
    begun = rules if rules or camera.rules else list(written(camera))
    return replace(camera, zones=zones, lines=lines, rules=tuple([*begun, *asked] if asked else rules))


def _followed(rule: Rule, draft: Sequence[Shape]) -> Rule | None:
    """The rule about the same places under their names of now; None when one is gone."""
    now = {(shape.kind, shape.was): shape.name for shape in draft if shape.was}
    wanted: list[tuple[Kind, str]] = [("zone", rule.zone), ("line", rule.line)]
    if any(named and (kind, named) not in now for kind, named in wanted):
        return None
    return msgspec.structs.replace(rule, **{kind: now[kind, named] for kind, named in wanted if named})


def _about(shape: Shape, camera: Camera) -> list[Rule]:
    """The camera's rules about a place."""
    return [rule for rule in camera.rules if shape.was and shape.was == (rule.zone if shape.kind == "zone" else rule.line)]


def _told(shape: Shape) -> Rule:
    if shape.kind == "zone":
        return Rule(name=f"{shape.name} entered", zone=shape.name, cooldown_s=10.0)
    return Rule(name=f"{shape.name} crossed", line=shape.name)


def _tool(symbol: str, label: str, action: object) -> None:
    with ui.button(on_click=action).props(f'flat round dense aria-label="{label}"').classes("ek-plain"):  # type: ignore[arg-type]
        icon(symbol)
