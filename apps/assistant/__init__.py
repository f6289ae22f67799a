"""`edgekit run assistant`: answers from the user's documents and a language model, on this machine."""

from __future__ import annotations

import argparse
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from edgekit.apps.base import Answer, RunOptions
from edgekit.core.printable import printable

if TYPE_CHECKING:
    from edgekit.apps.assistant.assistant import Answered
    from edgekit.apps.assistant.library import Library
    from edgekit.apps.assistant.options import Request

log = logging.getLogger(__name__)
TAKES_ADDRESS = True
HELP = "answer questions from your documents and a language model, with citations"


def configure(parser: argparse._ActionsContainer) -> None:
    """The app's own options."""
    from edgekit.apps.assistant import options

    options.configure(parser)


def run(options: RunOptions) -> Answer:
    """Answer one question, print passages, talk in the terminal, or serve until told to stop.

    Raises `UsageError` for options that do not fit together, and what engines and servers raise.
    """
    from edgekit.apps.assistant.options import requested

    request = requested(options)
    with ExitStack() as stack:
        if request.ask is not None:
            return _ask(request, request.ask, stack)
        if request.search is not None:
            return _search(request, request.search, stack)
        if request.terminal:
            return _talk(request, stack)
        return _serve(request, options, stack)


def _ask(request: Request, question: str, stack: ExitStack) -> Answer:
    from edgekit.apps.assistant.assistant import Answered
    from edgekit.apps.assistant.build import assistant

    made = assistant(request, stack)
    notes = _read(made.library)
    *_, last = made.ask(question)
    assert isinstance(last, Answered)  # which is how every answer ends
    return Answer(result=last.as_json() | {"refused": notes}, text=_text(last))


def _text(answer: Answered) -> str:
    from edgekit.apps.assistant.terminal import shown_sources

    return printable(f"{answer.text}\n{shown_sources(answer)}")


def _search(request: Request, question: str, stack: ExitStack) -> Answer:
    from edgekit.apps.assistant.build import assistant
    from edgekit.apps.assistant.passages import passages, shown

    library = assistant(request, stack).library
    assert library is not None  # the options were checked
    notes = _read(library)
    found = passages(library, question, request.top)
    return Answer(result={"passages": found, "refused": notes}, text=printable(shown(found)))


def _talk(request: Request, stack: ExitStack) -> Answer:
    import sys

    from edgekit.apps.assistant.build import assistant, conversations
    from edgekit.apps.assistant.chat import Chat
    from edgekit.apps.assistant.terminal import talk, typed

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    made = assistant(request, stack)
    _read(made.library)
    talk(Chat(made, conversations(request, stack)), typed(), write)
    return Answer(result={}, text="")


def _serve(request: Request, options: RunOptions, stack: ExitStack) -> Answer:
    from edgekit.apps.assistant.build import assistant, conversations, keep_states
    from edgekit.apps.assistant.voice import Voice
    from edgekit.apps.web.options import serving
    from edgekit.apps.web.serve import ensure_packages, serve

    ensure_packages()
    from edgekit.apps.assistant.pages.shell import shell

    kept = conversations(request, stack)
    made = assistant(request, stack)  # ends before the conversations do: what it remembers of them is written then
    keep_states(request, made, kept)
    return serve(shell(made, kept, Voice(request.voice)), serving(options))


def _read(library: Library | None) -> list[dict[str, str]]:
    """Bring the documents up to date; which files were refused, which is told on stderr as well."""
    if library is None:
        return []
    refused = library.update().refused
    for one in refused:
        log.warning("not read: %s: %s", printable(one.path), printable(one.reason))
    return [{"path": one.path, "reason": one.reason} for one in refused]
