"""A question and its answer on the page, while it is given and afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from edgekit.apps.assistant.answers.sources import Source
from edgekit.apps.assistant.assistant import Answered, AnswerEvent, Found
from edgekit.apps.assistant.chat import details_of
from edgekit.apps.assistant.generation import Switched
from edgekit.apps.assistant.pages import answer
from edgekit.apps.assistant.pages.listen import Listen
from edgekit.apps.web.pages.parts import icon, problem
from edgekit.runtimes.text import Piece, Waiting

EVERY_S = 0.05
"""How often a growing answer is drawn."""
CLICKED = "(event) => { const one = event.target.closest('[data-source]'); if (one) emit(Number(one.dataset.source)); }"
OnSource = Callable[[Mapping[str, Any]], None]


def question(text: str) -> None:
    """What was asked."""
    with ui.element("article").classes("as-turn as-asked").props('aria-label="Question"'):
        ui.label(text)


class Answer:
    """An answer that may still grow. `on_source` is called with the citation whose number was pressed."""

    def __init__(self, on_source: OnSource, on_retry: Callable[[], Any]) -> None:
        self._on_source, self._on_retry = on_source, on_retry
        self._text, self._drawn_at = "", 0.0
        self._details: dict[str, Any] = {}
        with ui.element("article").classes("as-turn as-answer").props('aria-label="Answer"') as self._box:
            self._badges = _html("as-badges")
            self._said = _html("as-said")
            self._status = ui.label("").classes("as-status").props("role=status")
            self._problem = ui.element("div")
            self._below = _html("as-below")
            self._foot = ui.element("div").classes("as-foot")
        self._box.on("click", self._pressed, js_handler=CLICKED)

    def see(self, event: AnswerEvent) -> None:
        """One more event of the answer."""
        if isinstance(event, Found):
            self._status.set_text(_reading(event.sources))
        elif isinstance(event, Waiting):
            self._status.set_text(f"Waiting: {event.position} before you")
        elif isinstance(event, Piece):
            self._grow(event.text)
        elif isinstance(event, Switched):
            self._text = ""
            self._status.set_text(f"The local model failed ({event.reason}); asking {event.badge.url}")
            self._badges.set_content(answer.badges({"fallback": asdict(event.badge)}))
        else:
            self.show(event.text, details_of(event))

    def waiting(self, text: str) -> None:
        """What is being done before the first word."""
        self._status.set_text(text)

    def show(self, text: str, details: Mapping[str, Any], *, latest: bool = True) -> None:
        """The whole answer. The latest one may be asked for again."""
        self._text, self._details = text, dict(details)
        self._badges.set_content(answer.badges(details))
        self._said.set_content(answer.said(text, details))
        self._status.set_text("")
        self._below.set_content(answer.sources(details) + answer.remarks(details))
        if details.get("reason") == "failed":
            with self._problem:
                problem(str(details.get("error", "the answer failed")), str(details.get("hint", "")))
        with self._foot:
            ui.label(answer.speed(details)).classes("as-speed")
            if text:
                self._tool("Copy", "content_copy", lambda: ui.clipboard.write(self._text))
                Listen(text)
            if latest:
                self._tool("Retry", "refresh", self._on_retry)

    def stopped(self) -> None:
        """The answer was stopped before its end came."""
        self.show(self._text, {"reason": "cancelled"})

    def failed(self, message: str, hint: str) -> None:
        """The answer broke off."""
        self.show(self._text, {"reason": "failed", "error": message, "hint": hint})

    def settle(self) -> None:
        """Another question follows: this one is not asked again."""
        for tool in list(self._foot.default_slot.children):
            if "as-retry" in tool.classes:
                tool.delete()

    def _grow(self, text: str) -> None:
        self._text += text
        now = time.monotonic()
        if now - self._drawn_at >= EVERY_S:
            self._drawn_at = now
            self._status.set_text("")
            self._said.set_content(answer.said(self._text, {}))

    def _tool(self, title: str, symbol: str, action: Callable[[], Any]) -> None:
        button = ui.button(on_click=action).props(f'flat dense no-caps aria-label="{title}"')
        with button.classes(f"as-tool ek-plain as-{title.lower()}"):
            icon(symbol)
            ui.label(title)

    def _pressed(self, event: GenericEventArguments) -> None:
        cited = (one for one in self._details.get("citations", ()) if one["n"] == event.args)
        if (found := next(cited, None)) is not None:
            self._on_source(found)


def _html(classes: str) -> ui.html:
    return ui.html("", sanitize=False).classes(classes)


def _reading(sources: Sequence[Source]) -> str:
    documents = len({source.path for source in sources})
    passages = f"{len(sources)} passage{'s' if len(sources) != 1 else ''}"
    return f"Reading {passages} from {documents} document{'s' if documents != 1 else ''}" if sources else ""


def whole(event: AnswerEvent) -> bool:
    """Whether the answer ends with it."""
    return isinstance(event, Answered)
