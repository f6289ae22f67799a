"""The button under an answer that reads it aloud."""

from __future__ import annotations

from nicegui import ui

from edgekit.apps.assistant.pages.composer import SOUND
from edgekit.apps.assistant.voice import spoken


class Listen(ui.element, component="listen.js"):
    """Reads an answer aloud, and stops."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.add_resource(SOUND)
        self.props["text"] = spoken(answer)
