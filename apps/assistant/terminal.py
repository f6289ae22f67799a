"""The chat in a terminal: one line is one question, Ctrl-C stops an answer, Ctrl-D ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress

from edgekit.apps.assistant.assistant import Answered, AnswerEvent
from edgekit.apps.assistant.chat import Chat
from edgekit.apps.assistant.documents.text import storable
from edgekit.apps.assistant.generation import Switched
from edgekit.core.errors import EdgekitError
from edgekit.core.interrupts import Terminated
from edgekit.core.printable import printable
from edgekit.runtimes.text import Piece, Waiting

OWNER = "terminal"
PROMPT = "> "
HELP = "Ask, or: /new begins again · /list · /search WORDS · /delete forgets this conversation · Ctrl-C stops an answer · Ctrl-D ends"
Write = Callable[[str], object]


def talk(chat: Chat, lines: Iterable[str], out: Write) -> None:
    """Answer line after line; what is written is safe for a terminal, whoever said it."""
    current = chat.conversations.new(OWNER).id

    def write(text: str) -> None:
        out(printable(text))

    write(f"{HELP}\n")
    for line in lines:
        text = storable(line).strip()  # what is typed need not be UTF-8
        try:
            if text.startswith("/"):
                current = _commanded(chat, current, text, write)
            elif text:
                _answer(chat, current, text, write)
        except EdgekitError as exc:
            write(f"error: {exc.message}\n" + (f"  try: {exc.hint}\n" if exc.hint else ""))


def typed() -> Iterator[str]:
    """What is typed, line by line, with a prompt on a terminal."""
    while True:
        try:
            yield input(PROMPT if sys.stdin.isatty() else "")
        except EOFError:
            return


def _answer(chat: Chat, conversation: str, question: str, write: Write) -> None:
    cancel = threading.Event()
    spoke = False
    with closing(chat.turn(OWNER, conversation, question, cancel=cancel)) as events:
        try:
            for event in events:
                spoke = _show(event, spoke, write)
        except KeyboardInterrupt as stop:
            cancel.set()
            if isinstance(stop, Terminated):
                raise
            write("\n(stopped)\n")


def _show(event: AnswerEvent, spoke: bool, write: Write) -> bool:
    """Write what is to be seen of an event; whether a model has begun to speak."""
    if isinstance(event, Piece):
        write(event.text)
        return True
    if isinstance(event, Waiting):
        write(f"(waiting, place {event.position})\n")
    elif isinstance(event, Switched):
        write(f"\n(asking {event.badge.url}: {event.reason})\n")
        return False
    elif isinstance(event, Answered):
        write(_ending(event, spoke))
    return spoke


def _ending(answer: Answered, spoke: bool) -> str:
    return ("" if spoke else answer.text) + "\n" + shown_sources(answer) + "\n"


def shown_sources(answer: Answered) -> str:
    """What stands under an answer: where it is from, what is not supported, how fast it came."""
    lines = list(dict.fromkeys(f"  [{source.n}] {source.where}" for source in answer.citations))
    if answer.mode == "extractive":
        lines.append("  quoted from your documents; no language model spoke")
    lines += [f"  not supported by its passage: {text}" for text in answer.unsupported]
    lines += [f"  left out for want of room: {text}" for text in answer.dropped]
    lines += [f"  {note}" for note in answer.notes]
    if answer.badge:
        sent = "with" if answer.badge.documents_sent else "without"
        lines.append(f"  FALLBACK: {answer.badge.model} at {answer.badge.url} ({answer.badge.reason}), {sent} your documents")
    if rate := answer.timings.get("predicted_per_second"):
        lines.append(f"  {rate:.1f} tokens/s, first after {answer.timings.get('ttft_ms', 0):.0f} ms")
    return "\n".join(lines) + ("\n" if lines else "")


def _commanded(chat: Chat, current: str, text: str, write: Write) -> str:
    """Do what a line with `/` says; the conversation that goes on."""
    command, _, rest = text.partition(" ")
    kept = chat.conversations
    if command == "/new":
        return kept.new(OWNER).id
    if command == "/list":
        write("".join(f"  {one.title or '(nothing yet)'}\n" for one in kept.list(OWNER)))
    elif command == "/search":
        write("".join(f"  {one.title}: {one.excerpt}\n" for one in kept.search(OWNER, rest)) or "  nothing found\n")
    elif command == "/delete":
        with suppress(EdgekitError):
            kept.delete(current, OWNER)
        return kept.new(OWNER).id
    else:
        write(f"{HELP}\n")
    return current
