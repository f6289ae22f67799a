"""The place to type a question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from nicegui import ui
from nicegui.events import GenericEventArguments

LONGEST = 20_000
SOUND = (Path(__file__).with_name("sound") / "voice.js").resolve().parent
"""What the browser loads for the microphone and the loudspeaker, once one of them is used."""


class Composer(ui.element, component="composer.js"):
    """`on_send` gets the question; while `busy` there is a button to stop."""

    def __init__(self, *, on_send: Callable[[str], Awaitable[None]], on_stop: Callable[[], None], placeholder: str) -> None:
        super().__init__()
        self.add_resource(SOUND)
        self.props["busy"] = self.props["disabled"] = False
        self.props["placeholder"] = placeholder

        async def send(event: GenericEventArguments) -> None:
            text = str(event.args["text"])[:LONGEST]
            await on_send(text.encode("utf-8", errors="replace").decode())  # half a character is none

        self.on("send", send)
        self.on("stop", on_stop, args=[])

    def busy(self, busy: bool) -> None:
        """Whether an answer is being given."""
        self.props["busy"] = busy
        self.update()

    def disable(self) -> None:
        """There is nothing that could answer."""
        self.props["disabled"] = True
        self.update()

    def focus(self) -> None:
        """Put the cursor there."""
        self.run_method("focus")
