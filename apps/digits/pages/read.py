"""The page: a sheet at the left, what was read from it at the right, the networks side by side below."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median

from nicegui import ui
from nicegui.events import UploadEventArguments

from edgekit.apps.digits.desk import Desk
from edgekit.apps.digits.desk import Sheet as Read
from edgekit.apps.digits.pages import results
from edgekit.apps.digits.pages.api import PIXELS, UPLOAD_BYTES
from edgekit.apps.digits.pages.pictures import shown
from edgekit.apps.digits.pages.sheet import Sheet
from edgekit.apps.digits.pages.words import said
from edgekit.apps.digits.saliency import occlusion
from edgekit.apps.web.pages.parts import empty, heading, icon, panel, problem
from edgekit.apps.web.pages.plots import Rolling
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import EdgekitError
from edgekit.models.digits import number_picture, samples
from edgekit.tasks.pictures.images import decode_image

EXPLAINED = 16
"""Of more digits than this the ink is not weighed: it would take longer than anybody waits."""

SAMPLES = (("A page with a number", number_picture()), ("A small 7", next(s.path for s in samples() if s.digit == 7)))


class ReadPage:
    """One visitor's page. Of pictures that come while one is being read only the last is read."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._read: Read | None = None
        self._waiting: bytes | None = None
        self._busy = False
        self._clearings = 0
        self._networks = (desk.reader, *desk.others)

    def draw(self, visit: Visit) -> None:
        """Make the page's elements."""
        heading("Read digits", "Draw, drop, paste or open a picture. It is read on this machine and stays here.")
        self._upload = ui.upload(auto_upload=True, max_file_size=UPLOAD_BYTES, on_upload=self._opened, on_rejected=_rejected)
        self._upload.props('accept="image/*" aria-hidden="true"').classes("dg-upload")
        with ui.element("div").classes("dg-grid"):
            self._sheet_panel()
            self._result_panel()
        with panel("Side by side"):
            ui.label("The same digits, as each artifact reads them.").classes("ek-muted")
            self._comparison = ui.html("", sanitize=False)
            for name, reason in self._desk.absent.items():
                problem(f"{name} does not run here: {reason}")
            self._times = Rolling("Time per digit", "ms", [network.about.precision for network in self._networks])
            self._times.chart.set_visibility(False)
        self._show(None)

    def _sheet_panel(self) -> None:
        with panel(classes="dg-desk"):
            self._sheet = Sheet(
                self._upload, on_ink=self._inked, on_cleared=self._cleared, on_drawing=lambda: self._sheet.show("")
            )
            with self._sheet:
                icon("gesture")
                ui.label("Draw digits here")
                ui.label("or drop or paste a picture").classes("ek-muted")
            with ui.element("div").classes("dg-tools"):
                _tool("Undo", "undo").on("click", js_handler=self._sheet.in_browser("undo"))
                _tool("Clear", "delete_outline").on("click", js_handler=self._sheet.in_browser("clear"))
                _tool("Open a picture", "image").on("click", lambda: self._upload.run_method("pickFiles"))
            with ui.element("div").classes("dg-samples"):
                ui.label("Try").classes("ek-muted")
                for name, path in SAMPLES:
                    ui.button(name, on_click=lambda path=path: self._sample(path)).props("flat no-caps dense")

    def _result_panel(self) -> None:
        with panel(classes="dg-result"):
            self._number = ui.html("", sanitize=False)
            self._nothing = empty(
                "Nothing on the sheet yet.", "Draw a digit, or try one of the pictures below the sheet.", "pin"
            )
            self._unseen = empty(
                "No digit seen in this picture.", "Ink on paper is seen best: dark on light, or light on dark.", "search_off"
            )
            self._explain = ui.switch("Show which ink decided", on_change=self._explained).props("dense")
            self._cards = ui.html("", sanitize=False)
            self._footer = ui.label("").classes("ek-muted dg-footer")

    async def _inked(self, png: bytes) -> None:
        await self._take(png)

    async def _opened(self, event: UploadEventArguments) -> None:
        data = await event.file.read()
        self._upload.reset()
        await self._lay(data, event.file.name)

    async def _sample(self, path: Path) -> None:
        await self._lay(path.read_bytes(), path.name)

    async def _lay(self, data: bytes, name: str) -> None:
        """A picture on the sheet, and read."""
        image = await asyncio.to_thread(decode_image, data, name, pixels=PIXELS)
        self._sheet.show(await asyncio.to_thread(shown, image))
        await self._take(data)

    async def _take(self, data: bytes) -> None:
        """Read the picture in `data`, after the one that is being read; an answer that a clearing overtook is not shown."""
        self._waiting = data
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting is not None:
                data, self._waiting, clearings = self._waiting, None, self._clearings
                read = await asyncio.to_thread(self._seen, data)
                if clearings == self._clearings:
                    self._show(read)
                    await self._explained()
        finally:
            self._busy = False

    def _seen(self, data: bytes) -> Read:
        return self._desk.read(decode_image(data, pixels=PIXELS))

    def _cleared(self) -> None:
        self._waiting = None
        self._clearings += 1
        self._sheet.show("")
        self._show(None)

    def _show(self, read: Read | None) -> None:
        self._read = read
        found = bool(read and read.looks)
        self._sheet.frame(read)
        self._number.set_content(results.number(read) if read and found else "")
        self._nothing.set_visibility(read is None)
        self._unseen.set_visibility(read is not None and not found)
        self._explain.set_visibility(found)
        self._cards.set_content(results.cards(read, None) if read and found else "")
        self._comparison.set_content(results.comparison([network.about for network in self._networks], read))
        self._footer.set_text(said(self._desk.reader.about, read))
        if read and found:
            self._note(read)

    def _note(self, read: Read) -> None:
        """One more point on the plot of times."""
        per_network = zip(*([opinion.latency_ms for opinion in look.opinions] for look in read.looks), strict=True)
        self._times.add([round(median(times), 3) for times in per_network])
        self._times.chart.set_visibility(True)

    async def _explained(self) -> None:
        """Weigh the ink of the digits that are shown, when that is asked for."""
        read = self._read
        if read is None or not read.looks or len(read.looks) > EXPLAINED:
            return
        if not self._explain.value:
            self._cards.set_content(results.cards(read, None))
            return
        maps = await asyncio.to_thread(
            lambda: [occlusion(look.picture, look.digit.digit, self._desk.reader) for look in read.looks]
        )
        if read is self._read and self._explain.value:
            self._cards.set_content(results.cards(read, maps))


def _tool(title: str, symbol: str) -> ui.button:
    with ui.button().props("flat no-caps dense").classes("dg-tool ek-plain") as button:
        icon(symbol)
        ui.label(title)
    return button


def _rejected() -> None:
    raise EdgekitError(f"that is no picture of at most {UPLOAD_BYTES // 1_000_000} MB", "send a smaller one")
