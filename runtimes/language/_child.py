"""The process around an engine: it opens the model and answers one call after the other, and may be told to stop at any time.

Standard input carries calls and standard output answers. What the engine prints goes to standard error, a file of the parent's.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from edgekit.runtimes.language import registry
from edgekit.runtimes.language._wire import Answer, Call, encode, failed
from edgekit.runtimes.machine import hold_to
from edgekit.runtimes.text import DEFAULTS, Piece, TextSession, Waiting


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _Child(answers).serve(sys.stdin.buffer)


class _Child:
    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._cancel = threading.Event()
        self._current = 0
        self._lock = threading.Lock()
        self._session: TextSession | None = None

    def serve(self, lines: BinaryIO) -> None:
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        while (call := self._calls.get()) is not None:
            self._begin(call)
            try:
                _CALLS[call.name](self, call)
            except Exception as exc:
                # The other side of a process border: whatever went wrong is told there.
                self._say(failed(call.number, exc))
        if self._session is not None:
            self._session.close()

    def _read(self, lines: BinaryIO) -> None:
        """Calls in their order; a cancel overtakes them. A line that is no call ends the process: nobody would answer it."""
        try:
            for line in lines:
                self._take(msgspec.json.decode(line, type=Call))
        except msgspec.MsgspecError as exc:
            sys.stderr.write(f"error: what was asked is no call: {exc}\n")
        finally:
            self._cancel.set()
            self._calls.put(None)

    def _take(self, call: Call) -> None:
        if call.name != "cancel":
            self._calls.put(call)
            return
        with self._lock:
            if call.number == self._current:
                self._cancel.set()

    def _begin(self, call: Call) -> None:
        with self._lock:
            self._current = call.number
            self._cancel.clear()

    def _say(self, answer: Answer) -> None:
        self._answers.write(encode(answer))

    def open(self, call: Call) -> None:
        if call.limit_bytes:
            hold_to(call.limit_bytes)
        self._session = registry.get(call.engine).open(call.model, call.options or DEFAULTS)
        self._say(Answer(number=call.number, model=self._session.model))

    def generate(self, call: Call) -> None:
        assert call.request is not None  # the other side sends one
        for event in self._opened.generate(call.request, cancel=self._cancel):
            if isinstance(event, Waiting):
                continue  # others wait on the other side
            if isinstance(event, Piece):
                self._say(Answer(number=call.number, piece=event))
            else:
                self._say(Answer(number=call.number, done=event))

    def render(self, call: Call) -> None:
        assert call.request is not None  # the other side sends one
        self._say(Answer(number=call.number, text=self._opened.render(call.request)))

    def tokenize(self, call: Call) -> None:
        self._say(Answer(number=call.number, tokens=self._opened.tokenize(call.text, special=call.special)))

    def detokenize(self, call: Call) -> None:
        self._say(Answer(number=call.number, text=self._opened.detokenize(call.tokens)))

    def embed(self, call: Call) -> None:
        rows = self._opened.embed(call.texts)
        self._say(Answer(number=call.number, rows=tuple(tuple(map(float, row)) for row in rows)))

    def score(self, call: Call) -> None:
        scored: Any = self._opened
        np.save(call.goal, scored.score(call.tokens))
        self._say(Answer(number=call.number))

    def save(self, call: Call) -> None:
        state = self._opened.save(Path(call.path))
        self._say(Answer(number=call.number, count=state.tokens, bytes=state.bytes))

    def restore(self, call: Call) -> None:
        self._say(Answer(number=call.number, count=self._opened.restore(Path(call.path))))

    def quantize(self, call: Call) -> None:
        from edgekit.runtimes.language._llama_library import quantize

        importance = dict(np.load(call.model)) if call.model else {}
        quantize(Path(call.path), Path(call.goal), int(call.text), importance)
        self._say(Answer(number=call.number))

    def check(self, call: Call) -> None:
        from edgekit.runtimes.language._llama_library import check

        check()
        self._say(Answer(number=call.number))

    @property
    def _opened(self) -> TextSession:
        assert self._session is not None  # the other side opens first
        return self._session


_CALLS: Mapping[str, Callable[[_Child, Call], None]] = {
    "open": _Child.open,
    "generate": _Child.generate,
    "render": _Child.render,
    "tokenize": _Child.tokenize,
    "detokenize": _Child.detokenize,
    "embed": _Child.embed,
    "score": _Child.score,
    "save": _Child.save,
    "restore": _Child.restore,
    "quantize": _Child.quantize,
    "check": _Child.check,
}
