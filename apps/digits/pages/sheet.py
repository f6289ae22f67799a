"""The sheet: draws in the browser and tells the page of the ink; shows pictures, and boxes over what was read."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from edgekit.apps.digits.desk import Sheet as Read

OnInk = Callable[[bytes], Awaitable[None]]
OnNothing = Callable[[], None]


class Sheet(ui.element, component="sheet.js"):
    """`on_ink` gets a PNG of the drawing, black on white, some times a second; `on_cleared` is told that it is empty."""

    def __init__(self, uploader: ui.upload, *, on_ink: OnInk, on_cleared: OnNothing, on_drawing: OnNothing) -> None:
        super().__init__()
        self.props["uploader"] = uploader.id
        self.props["boxes"] = []
        self.props["picture"] = ""

        async def ink(event: GenericEventArguments) -> None:
            await on_ink(base64.b64decode(event.args["png"], validate=True))

        self.on("ink", ink)
        self.on("cleared", on_cleared, args=[])
        self.on("drawing", on_drawing, args=[])
        self.on("refused", lambda event: ui.notify(f"{event.args['name']!r} is not a picture", type="warning"))

    def show(self, picture: str) -> None:
        """Lay a picture (a data URL) on the sheet in place of the drawing; an empty one takes it away."""
        self.props["picture"] = picture
        if picture:
            self.run_method("wipe")
        self.update()

    def frame(self, read: Read | None) -> None:
        """Boxes around the digits that were read."""
        self.props["boxes"] = [] if read is None else _boxes(read)
        self.update()

    def in_browser(self, method: str) -> str:
        """The handler of a click that calls a method of the sheet where it is drawn on: what the hand does next may come before a
        server's answer, and would be taken back with the rest."""
        return f"() => getElement({self.id}).{method}()"


WIDTH, HEIGHT = 640, 480


def _boxes(read: Read) -> list[dict[str, Any]]:
    """Each digit's box as shares of the sheet, onto which the picture is fitted whole and in the middle."""
    scale = min(WIDTH / read.width, HEIGHT / read.height)
    left, top = (WIDTH - scale * read.width) / 2, (HEIGHT - scale * read.height) / 2
    return [
        {
            "x": (left + scale * x1) / WIDTH,
            "y": (top + scale * y1) / HEIGHT,
            "w": scale * (x2 - x1) / WIDTH,
            "h": scale * (y2 - y1) / HEIGHT,
            "label": str(look.digit.digit),
            "unsure": look.is_unsure,
        }
        for look in read.looks
        for x1, y1, x2, y2 in (look.digit.box,)
    ]
