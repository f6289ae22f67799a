"""Conversations with the assistant: what was said before goes with a question, and both it and the answer are kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Sequence
from dataclasses import asdict
from typing import Any

from edgekit.apps.assistant.assistant import Answered, AnswerEvent, Assistant
from edgekit.apps.assistant.conversations import Conversations, Said
from edgekit.apps.assistant.database import Damaged, Full
from edgekit.apps.assistant.documents.text import storable
from edgekit.apps.assistant.generation import Switched
from edgekit.core.errors import EdgekitError, NotFound
from edgekit.runtimes.text import Message, Piece

log = logging.getLogger(__name__)


class Chat:
    """For any number of threads."""

    def __init__(self, assistant: Assistant, conversations: Conversations) -> None:
        self.assistant, self.conversations = assistant, conversations

    def turn(
        self, owner: str, conversation: str, question: str, *, cancel: threading.Event | None = None, documents: bool = True
    ) -> Generator[AnswerEvent, None, None]:
        """Ask in a conversation. What was said of the answer is kept however it ends: stopped, cut off or failed.

        Raises `NotFound` for a conversation that is not the owner's, and what `Assistant.ask` raises.
        """
        self.conversations.get(conversation, owner)
        question = storable(question)
        history = _history(self.conversations.messages(conversation))
        self._keep(conversation, "user", question, {})
        text, details = "", {"reason": "cancelled"}
        try:
            for event in self.assistant.ask(question, history, cancel=cancel, documents=documents, conversation=conversation):
                if isinstance(event, Answered):
                    text, details = event.text, details_of(event)
                elif isinstance(event, Piece):
                    text += event.text
                elif isinstance(event, Switched):
                    text = ""
                yield event
        except EdgekitError as exc:
            details = {"reason": "failed", "error": exc.message, "hint": exc.hint}
            raise
        finally:
            self._keep(conversation, "assistant", text, details)

    def retry(
        self, owner: str, conversation: str, *, cancel: threading.Event | None = None
    ) -> Generator[AnswerEvent, None, None]:
        """Ask the last question again; its answer is forgotten. Raises `NotFound` where nothing was asked, and what `turn` raises."""
        self.conversations.get(conversation, owner)
        asked = [one for one in self.conversations.messages(conversation) if one.role == "user"]
        if not asked:
            raise NotFound("nothing was asked in this conversation")
        self.conversations.take_back(conversation, asked[-1].id)
        yield from self.turn(owner, conversation, asked[-1].content, cancel=cancel)

    def _keep(self, conversation: str, role: str, text: str, details: dict[str, Any]) -> None:
        """Keep a message; an answer is given even where it cannot be kept."""
        try:
            self.conversations.say(conversation, role, text, details)
        except (Full, Damaged) as exc:
            log.warning("not kept: %s", exc.message)


def details_of(answer: Answered) -> dict[str, Any]:
    """What is kept of an answer beside its text."""
    known = answer.as_json()
    rest = {name: value for name, value in known.items() if name not in ("answer", "citations")}
    return (
        rest
        | {"citations": [source.as_json() for source in answer.citations]}
        | ({"fallback": asdict(answer.badge)} if answer.badge else {})
    )


def _history(said: Sequence[Said]) -> list[Message]:
    """What was said, for the prompt. A question of whose answer nothing came is left out: templates want turns to alternate."""
    turns: list[Message] = []
    for one in said:
        if turns and turns[-1].role == "user" and (one.role == "user" or not one.content):
            turns.pop()
        if one.role == "user":
            turns.append(Message(role="user", content=one.content))
        elif one.content and turns:
            turns.append(Message(role="assistant", content=one.content))
    return turns[:-1] if turns and turns[-1].role == "user" else turns
