"""A live picture on a page; its route is `stream.add_stream`."""

from __future__ import annotations

from typing import Literal

from nicegui import ui

from edgekit.apps.web.live import STALLED_AFTER_S, Broadcast

LOOK_S = 1.0


State = Literal["connecting", "live", "stalled", "lost", "ended"]


class Live(ui.element, component="live.js"):
    """The picture of `broadcast`, which `url` serves; what is made within it is laid over it.

    With `every_ms` single pictures are asked for, each so long after the last had come: a browser keeps six connections to a
    server, and a stream holds one.
    """

    def __init__(self, broadcast: Broadcast, url: str, *, label: str, every_ms: int = 0) -> None:
        super().__init__()
        self.props["url"], self.props["label"], self.props["stalled"] = url, label, False
        self.props["every"], self.props["said"], self.props["words"], self.props["ratio"] = every_ms, "", "", ""
        self._broadcast = broadcast
        if not every_ms:
            ui.timer(LOOK_S, self._look)

    def say(self, state: State, words: str = "") -> None:
        """The source's own state, and what it is called (by default a word for it)."""
        if (state, words) != (self.props["said"], self.props["words"]):
            self.props["said"], self.props["words"] = state, words
            self.update()

    def shape(self, width: int, height: int) -> None:
        """Take the proportions of the picture."""
        ratio = f"{width} / {height}"
        if ratio != self.props["ratio"]:
            self.props["ratio"] = ratio
            self.update()

    def _look(self) -> None:
        quiet = self._broadcast.quiet_s
        stalled = quiet is not None and quiet > STALLED_AFTER_S
        if stalled != self.props["stalled"]:
            self.props["stalled"] = stalled
            self.update()
