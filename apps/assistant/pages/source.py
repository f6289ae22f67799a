"""The document behind a citation, opened at the cited passage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from edgekit.apps.assistant.library import Library
from edgekit.apps.assistant.pages import answer
from edgekit.apps.web.pages.parts import icon
from edgekit.core.errors import NotFound

GONE = "This document is no longer there. What was cited:"
CHANGED = "This document has changed since. What was cited:"
SHOW = """(function show(frames) {
  const text = document.querySelector('.as-dialog-text'), passage = text?.querySelector('.as-passage');
  if (passage?.offsetHeight) text.scrollTop = passage.offsetTop - Math.max(0, (text.clientHeight - passage.offsetHeight) / 2);
  else if (frames) requestAnimationFrame(() => show(frames - 1));
})(1000)"""
"""Brings the passage into sight once it has a place: on a slow machine that takes many frames. The dialog grows out of a point, and
scrollIntoView goes by what is seen, so that nothing would have to be scrolled to yet."""


class SourceDialog:
    """One for a page."""

    def __init__(self, library: Library | None) -> None:
        self._library = library
        with ui.dialog() as self._dialog, ui.element("div").classes("as-dialog").props('aria-label="Source"'):
            with ui.element("header").classes("as-dialog-head"):
                self._title = ui.label("").classes("as-dialog-title")
                with (
                    ui.button(on_click=self._dialog.close)
                    .props('flat round dense autofocus aria-label="Close"')
                    .classes("ek-plain")
                ):
                    icon("close")
            self._text = ui.html("", sanitize=False).classes("as-dialog-text").props("tabindex=0")

    def open(self, source: Mapping[str, Any]) -> None:
        """Show the passage in its document."""
        self._title.set_text(f"[{source['n']}] {answer.place(source)}")
        self._text.set_content(self._found(source))
        self._dialog.open()
        ui.run_javascript(SHOW)

    def _found(self, source: Mapping[str, Any]) -> str:
        cited = str(source.get("text", ""))
        alone = answer.passage(cited, {"start": 0, "end": len(cited)})
        try:
            text = self._library.text_of(str(source["path"])) if self._library else ""
        except NotFound:
            text = ""
        if not text:
            return f'<p class="ek-muted">{GONE}</p>{alone}'
        if cited and text[int(source["start"]) : int(source["end"])] != cited:
            return f'<p class="ek-muted">{CHANGED}</p>{alone}'
        return answer.passage(text, source)
