"""A camera's settings: shown to everybody, changed by admins, in force from the next frame on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from nicegui import ui

from edgekit.apps.vision.pages.words import described
from edgekit.apps.vision.rules.settings import Camera, Detect, Filter, Rule, written
from edgekit.apps.vision.showing.filters import FILTERS
from edgekit.apps.vision.watching.camera import CameraWatch
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.shell import User
from edgekit.core.errors import EdgekitError, InputError


class Settings:
    """The settings of one camera. `look` draws them anew when they were changed elsewhere."""

    def __init__(self, site: SiteWatch, watch: CameraWatch, user: User) -> None:
        self._site, self._watch, self._may = site, watch, user.may("admin")
        self._shown: Camera | None = None
        self._writing = 0
        self._box = ui.element("div").classes("vi-settings")
        self.look()

    def look(self) -> None:
        if self._writing or self._watch.camera == self._shown:
            return
        self._shown = self._watch.camera
        self._box.clear()
        with self._box:
            (self._fields if self._may else self._facts)(self._shown)

    def _facts(self, camera: Camera) -> None:
        """What a viewer sees."""
        detect = camera.detect
        ui.label(f"{detect.fps:g} looks a second at most, from a score of {detect.min_score:.0%} on")
        ui.label("Looks only while something moves" if detect.motion_gate else "Looks at every frame")
        for rule in written(camera):
            ui.label(f"{'' if rule.enabled else 'off: '}{rule.name}: {described(rule)}").classes("ek-muted")

    def _fields(self, camera: Camera) -> None:
        detect = camera.detect
        _number("Looks a second", detect.fps, lambda value: self._detect(fps=_given(value, "looks a second")), step=1)
        _number(
            "Least score, %",
            round(100 * detect.min_score, 1),
            lambda value: self._detect(min_score=_given(value, "score") / 100),
            step=5,
        )
        _switch("Look only while something moves", detect.motion_gate, lambda value: self._detect(motion_gate=value))
        if self._watch.segments:
            _switch("Show shapes, live only", camera.segmentation == "shown", self._shapes)
        chosen = ui.select(list(FILTERS), label="Filter on faces, live only", value=camera.filter)
        chosen.props("outlined dense options-dense").classes("ek-field").on_value_change(
            lambda event: self._filter(event.value)
        )
        ui.label("Rules").classes("vi-subtitle")
        for index, rule in enumerate(written(camera)):
            with ui.element("div").classes("vi-rule"):
                _switch(rule.name.replace("_", " "), rule.enabled, partial(self._rule, index))
                ui.label(described(rule)).classes("ek-muted")

    async def _detect(self, **changed: Any) -> None:
        camera = self._watch.camera
        try:
            detect = msgspec.convert({**msgspec.to_builtins(camera.detect), **changed}, Detect)
        except msgspec.ValidationError as exc:
            self._shown = None
            raise InputError(
                f"that is no setting: {str(exc).partition(' - at')[0]}", "0 to 100 %; above 0 to 120 looks"
            ) from exc
        await self._change(replace(camera, detect=detect))

    async def _filter(self, name: Filter) -> None:
        await self._change(replace(self._watch.camera, filter=name))

    async def _shapes(self, shown: bool) -> None:
        await self._change(replace(self._watch.camera, segmentation="shown" if shown else "hidden"))

    async def _rule(self, index: int, enabled: bool) -> None:
        camera = self._watch.camera
        await self._change(replace(camera, rules=_switched(written(camera), index, enabled)))

    async def _change(self, camera: Camera) -> None:
        """Write and go by it; what cannot be written is said, and the fields show again what counts."""
        if camera == self._watch.camera:
            return
        self._shown = camera
        self._writing += 1
        try:
            await asyncio.to_thread(self._site.change, camera)
        except EdgekitError:
            self._shown = None
            raise
        finally:
            self._writing -= 1
        ui.notify("In force, and written down", type="positive", timeout=1500)


def _switched(rules: tuple[Rule, ...], index: int, enabled: bool) -> tuple[Rule, ...]:
    return (*rules[:index], msgspec.structs.replace(rules[index], enabled=enabled), *rules[index + 1 :])


def _given(value: float | None, name: str) -> float:
    if value is None:
        raise InputError(f"the {name} is missing", "write a number")
    return float(value)


def _number(label: str, value: float, change: Callable[[float | None], Any], *, step: float) -> None:
    """A number that counts when one leaves the field or presses Enter: while one types it is half of one.

    It comes with the event itself: what is typed while a page is still being connected arrives in any order.
    """
    field = ui.number(label, value=value, step=step).props("outlined dense").classes("ek-field")
    for event in ("blur", "keydown.enter"):
        field.on(event, lambda told: change(told.args), js_handler="(event) => emit(event.target.valueAsNumber)")


def _switch(label: str, value: bool, change: Callable[[Any], Any]) -> None:
    ui.switch(label, value=value, on_change=lambda event: change(event.value)).props("dense")
