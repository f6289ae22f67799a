"""The chat: a conversation, the place to ask, and the conversations that are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from nicegui import ui

from edgekit.apps.assistant.api.bridge import Door, events
from edgekit.apps.assistant.assistant import AnswerEvent
from edgekit.apps.assistant.chat import Chat
from edgekit.apps.assistant.generation import NO_MODEL, NO_MODEL_HINT
from edgekit.apps.assistant.pages.answer import host
from edgekit.apps.assistant.pages.composer import Composer
from edgekit.apps.assistant.pages.memory import Memory
from edgekit.apps.assistant.pages.source import SourceDialog
from edgekit.apps.assistant.pages.turn import Answer, question, whole
from edgekit.apps.web.pages.parts import empty, icon, problem
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import EdgekitError

ABOUT_S = 2.0
"""How often the line above the chat is brought up to date."""
MakeAnswer = Callable[[threading.Event], Generator[AnswerEvent, None, None]]


@dataclass(eq=False)
class Running:
    """The answer that is being given; `cancel` ends it in mid-token."""

    answer: Answer
    cancel: threading.Event = field(default_factory=threading.Event)


class ChatPage:
    """One visitor's page."""

    def __init__(self, chat: Chat, door: Door) -> None:
        self._chat, self._door = chat, door
        self._assistant = chat.assistant
        self._conversation = ""
        self._running: Running | None = None
        self._last: Answer | None = None

    def draw(self, visit: Visit) -> None:
        """Make the page's elements."""
        self._owner, self._client = visit.user.name, ui.context.client
        self._dialog = SourceDialog(self._assistant.library)
        with ui.element("div").classes("as-app"):
            self._memory = Memory(self._chat.conversations, self._owner, on_open=self._open, on_new=self._new)
            with ui.element("section").classes("as-chat").props('aria-label="Chat"'):
                self._bar()
                self._transcript = (
                    ui.element("div").classes("as-transcript").props('role=log aria-live=polite aria-label="Conversation"')
                )
                self._composer = Composer(on_send=self._ask, on_stop=self._stop, placeholder=self._invitation())
        self._client.on_delete(self._stop)
        ui.timer(ABOUT_S, lambda: self._about.set_text(self._described()))
        self._open(visit.query.get("conversation", "")) if visit.query.get("conversation") else self._new()

    def _bar(self) -> None:
        with ui.element("div").classes("as-bar"):
            with ui.button(on_click=self._memory.toggle).props('flat dense aria-label="Conversations"') as button:
                icon("menu")
            button.classes("ek-plain as-menu")
            self._about = ui.label("").classes("ek-muted as-about")

    def _invitation(self) -> str:
        return "Ask your documents" if self._assistant.library is not None else "Ask something"

    @property
    def _can_answer(self) -> bool:
        return self._assistant.generator.engine is not None or self._assistant.library is not None

    def _described(self) -> str:
        """What answers here: `smollm2-360m · 12 documents, reading 30 of 40 · fallback example.org`."""
        engine, library, fallback = (
            self._assistant.generator.engine,
            self._assistant.library,
            self._assistant.generator.fallback,
        )
        parts = [engine.name if engine is not None else "no language model"]
        if library is not None:
            count, state = library.count(), library.state
            reading = f", reading{state.so_far}" if state.running else ""
            parts.append(f"{count:,} document{'s' if count != 1 else ''}{reading}")
        if fallback is not None:
            parts.append(f"fallback {host(fallback.options.url)}")
        return " · ".join(parts)

    def _new(self) -> None:
        """An empty conversation; it is kept once something was asked."""
        self._show("")
        with self._transcript:
            self._welcome()

    def _welcome(self) -> None:
        library, engine = self._assistant.library, self._assistant.generator.engine
        if not self._can_answer:
            self._composer.disable()
            problem(NO_MODEL, NO_MODEL_HINT)
        elif library is not None and not library.count() and not library.state.running:
            with empty("No documents yet", f"put some into {library.folder}, or add them here", "description"):
                ui.link("Add documents", "/documents")
        elif engine is None:
            empty("Ask your documents", "No language model: answers are quoted from them, with their sources.", "format_quote")
        elif library is None:
            empty("Ask something", "No documents: the model answers by itself, and may be wrong.", "forum")
        else:
            empty("Ask your documents", "Answers are checked against the passages they cite.", "forum")

    def _open(self, conversation: str) -> None:
        """Show a conversation that is kept. Raises `NotFound` for one that is not the user's."""
        self._chat.conversations.get(conversation, self._owner)
        self._show(conversation)
        said = self._chat.conversations.messages(conversation)
        with self._transcript:
            for at, one in enumerate(said):
                if one.role == "user":
                    question(one.content)
                else:
                    self._last = self._answer()
                    self._last.show(one.content, one.details, latest=at == len(said) - 1)
        # By the client itself: the button that was pressed is gone with the list it stood in.
        self._client.run_javascript("window.scrollTo(0, document.documentElement.scrollHeight)")

    def _show(self, conversation: str) -> None:
        self._stop()
        self._running = self._last = None
        self._conversation = self._memory.current = conversation
        self._composer.busy(False)
        self._transcript.clear()
        self._about.set_text(self._described())
        self._memory.refresh()

    def _answer(self) -> Answer:
        return Answer(self._dialog.open, self._retry)

    async def _ask(self, text: str) -> None:
        if self._running is not None:
            return
        if not self._conversation:
            self._transcript.clear()
            self._conversation = self._memory.current = self._chat.conversations.new(self._owner).id
        if self._last is not None:
            self._last.settle()
        name = self._conversation
        with self._transcript:
            question(text)
        await self._run(lambda cancel: self._chat.turn(self._owner, name, text, cancel=cancel))

    async def _retry(self) -> None:
        """The last question again: its answer makes room for the new one."""
        if self._running is not None or not self._conversation:
            return
        list(self._transcript.default_slot.children)[-1].delete()
        name = self._conversation
        await self._run(lambda cancel: self._chat.retry(self._owner, name, cancel=cancel))

    async def _run(self, make: MakeAnswer) -> None:
        """Give an answer, as it comes. Leaving the conversation or the page ends it."""
        with self._transcript:
            running = self._running = Running(self._answer())
        self._composer.busy(True)
        running.answer.waiting(self._first_step())
        try:
            self._door.enter()
            async with aclosing(events(make, self._door.leave, running.cancel)) as stream:
                await self._drawn(running, stream)
        except EdgekitError as exc:
            if running is self._running:
                running.answer.failed(exc.message, exc.hint)
        finally:
            if running is self._running:
                self._ended(running)

    async def _drawn(self, running: Running, stream: Any) -> None:
        complete = False
        async for event in stream:
            if running is self._running:
                running.answer.see(event)
            complete = complete or whole(event)
        if not complete and running is self._running:
            running.answer.stopped()

    def _ended(self, running: Running) -> None:
        self._running, self._last = None, running.answer
        self._composer.busy(False)
        self._about.set_text(self._described())
        self._memory.refresh()
        self._composer.focus()

    def _first_step(self) -> str:
        engine = self._assistant.generator.engine
        if engine is not None and engine.loaded is None:
            return f"Loading {engine.name}"
        return "Searching your documents" if self._assistant.library is not None else "Thinking"

    def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel.set()
