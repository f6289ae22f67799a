"""The page of a camera: its picture with the digits in it at the left, what was read at the right."""

from __future__ import annotations

from nicegui import ui

from edgekit.apps.digits.camera import DigitsCamera
from edgekit.apps.digits.desk import Desk, Sheet
from edgekit.apps.digits.pages import results
from edgekit.apps.digits.pages.api import PREFIX, STREAM
from edgekit.apps.digits.pages.words import said
from edgekit.apps.vision.pages.words import of_source
from edgekit.apps.web.pages.live import Live
from edgekit.apps.web.pages.parts import heading, panel
from edgekit.apps.web.shell import Visit

LOOK_S = 0.4


class CameraPage:
    """One visitor's view of the camera."""

    def __init__(self, desk: Desk, camera: DigitsCamera) -> None:
        self._desk, self._camera = desk, camera
        self._sheet: Sheet | None = None

    def draw(self, visit: Visit) -> None:
        """Make the page's elements."""
        heading("Camera", "Hold written digits before the camera, so that the paper fills the picture. Nothing is kept.")
        with ui.element("div").classes("dg-grid dg-camera"):
            with ui.element("div"):
                self._live = Live(self._camera.pictures, f"{PREFIX}{STREAM}", label="the camera, live, with the digits in it")
                ui.label(self._camera.address.shown).classes("ek-muted dg-source")
            with panel(classes="dg-result"):
                self._number = ui.html("", sanitize=False)
                self._nothing = ui.label("").classes("dg-nothing ek-muted")
                self._cards = ui.html("", sanitize=False)
                self._footer = ui.label("").classes("ek-muted dg-footer")
        self._look()
        ui.timer(LOOK_S, self._look)

    def _look(self) -> None:
        """What is new since the last look."""
        self._live.say(*of_source(self._camera.status().link))
        sheet = self._camera.sheet
        if sheet is None or sheet is not self._sheet:
            self._show(sheet)

    def _show(self, sheet: Sheet | None) -> None:
        self._sheet = sheet
        found = bool(sheet and sheet.looks)
        if sheet:
            self._live.shape(sheet.width, sheet.height)
        self._number.set_content(results.number(sheet) if sheet and found else "")
        self._nothing.set_text("" if found else "No digit in sight." if sheet else "No picture yet.")
        self._nothing.set_visibility(not found)
        self._cards.set_content(results.cards(sheet, None) if sheet and found else "")
        self._footer.set_text(said(self._desk.reader.about, sheet))
