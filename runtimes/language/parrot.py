"""An engine that needs nothing: it repeats the last thing that was said to it, one word at a time, and always the same way.

A token is a character and its id the character's code point. What makes servers testable without a model: prefixes are
remembered, states are saved and taken back, JSON schemas get the plainest value that fits, and long prompts are refused.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import DeviceError, InputError
from edgekit.runtimes.base import Probe
from edgekit.runtimes.language._example import example
from edgekit.runtimes.language.state import Owner, pack, unpack
from edgekit.runtimes.language.stops import Stops
from edgekit.runtimes.text import (
    DEFAULTS,
    Done,
    Piece,
    PromptTooLong,
    Reason,
    SavedState,
    TextEvent,
    TextModel,
    TextOptions,
    TextRequest,
    TextRuntime,
    TextSession,
    Timings,
    Waiting,
)

VERSION = "1"
CONTEXT = 4096
EMBEDDING = 64
_WORDS = re.compile(r"\s*\S+|\s+")


class ParrotSession:
    """Repeats. `pace_s` is how long it thinks before each word."""

    def __init__(self, context: int = CONTEXT, *, pace_s: float = 0.0) -> None:
        self._pace_s = pace_s
        self._turn = threading.Lock()
        self._known = ""
        self._closed = False
        self.model = TextModel(
            name="parrot",
            engine="parrot",
            context=context or CONTEXT,
            trained_context=CONTEXT,
            vocabulary=0x110000,
            embedding_length=EMBEDDING,
            threads=1,
            has_template=True,
        )

    def generate(self, request: TextRequest, *, cancel: threading.Event | None = None) -> Iterator[TextEvent]:
        """The last message again, or the last line of the prompt."""
        started = time.monotonic()
        if not self._turn.acquire(blocking=False):
            yield Waiting(position=1)
            self._turn.acquire()
        try:
            yield from self._answer(request, cancel or threading.Event(), started)
        finally:
            self._turn.release()

    def _answer(self, request: TextRequest, cancel: threading.Event, started: float) -> Iterator[TextEvent]:
        prompt = self._checked(self.render(request))
        known, self._known = _shared(prompt, self._known), prompt
        begun = time.monotonic()
        reply = _reply(request)
        room = min(request.sampling.max_tokens, self.model.context - len(prompt))
        stops, said = Stops(request.sampling.stop), 0
        reason: Reason = "length" if len(reply) > room else "stop"
        for word in _WORDS.findall(reply[:room]):
            if early := _interrupted(request, cancel, started):
                reason = early
                break
            cancel.wait(self._pace_s)
            said += len(word)
            if text := stops.push(word):
                yield Piece(text=text, tokens=len(word))
            if stops.found:
                reason = "stop"
                break
        if text := stops.flush():
            yield Piece(text=text, tokens=0)
        timings = Timings(
            cache_n=known,
            prompt_n=len(prompt) - known,
            prompt_ms=(begun - started) * 1000,
            predicted_n=said,
            predicted_ms=(time.monotonic() - begun) * 1000,
        )
        yield Done(reason=reason, timings=timings)

    def _checked(self, prompt: str) -> str:
        if self._closed:
            raise DeviceError("this parrot session is closed")
        if len(prompt) >= self.model.context:
            raise PromptTooLong(
                f"the prompt has {len(prompt)} tokens, the context {self.model.context}",
                "a shorter prompt, or a larger context",
                tokens=len(prompt),
                limit=self.model.context,
            )
        return prompt

    def render(self, request: TextRequest) -> str:
        """Every message on lines of its own, or the prompt."""
        if not request.messages:
            return request.prompt
        lines = [f"{message.role}: {message.content}\n" for message in request.messages]
        tools = "".join(f"tool {json.dumps(tool, sort_keys=True)}\n" for tool in request.tools)
        return tools + "".join(lines) + "assistant: "

    def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Code points."""
        return tuple(map(ord, text))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Characters."""
        for token in tokens:
            if not 0 <= token < self.model.vocabulary:
                raise InputError(f"there is no token {token}: the vocabulary has {self.model.vocabulary}")
        return "".join(map(chr, tokens))

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """How often hashed words occur."""
        rows = np.zeros((len(texts), EMBEDDING), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                row[zlib.crc32(word.encode()) % EMBEDDING] += 1
        lengths: NDArray[Any] = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: NDArray[Any] = rows / lengths
        return unit

    def save(self, path: Path) -> SavedState:
        """The last prompt, as its tokens alone."""
        with tempfile.TemporaryDirectory() as folder:
            (nothing := Path(folder) / "nothing").touch()
            return pack(path, nothing, self._owner(), tuple(map(ord, self._known)))

    def restore(self, path: Path) -> int:
        """Know that prompt again."""
        self._known = "".join(map(chr, unpack(path, self._owner())))
        return len(self._known)

    def _owner(self) -> Owner:
        return Owner(engine="parrot", version=VERSION, model="", context=self.model.context)

    def close(self) -> None:
        """Closing again does nothing."""
        self._closed = True


def _reply(request: TextRequest) -> str:
    """What is said: a fitting value where a schema asks for one, else what was said last."""
    if request.sampling.json_schema is not None:
        return json.dumps(example(request.sampling.json_schema))
    if not request.messages:
        return (request.prompt.splitlines() or [""])[-1]
    return next((message.content for message in reversed(request.messages) if message.role in ("user", "tool")), "")


def _interrupted(request: TextRequest, cancel: threading.Event, started: float) -> Reason | None:
    """Why no further word may come; None while one may."""
    if cancel.is_set():
        return "cancelled"
    late = request.deadline_s is not None and time.monotonic() - started >= request.deadline_s
    return "deadline" if late else None


def _shared(left: str, right: str) -> int:
    """How many characters both begin with."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


class _Parrot:
    name = "parrot"

    def probe(self) -> Probe:
        """Always there."""
        return Probe(ok=True, version=VERSION)

    def open(self, model: Path | str = "", options: TextOptions = DEFAULTS) -> TextSession:
        """Opens no file; a number as `model` is how many seconds it thinks before each word."""
        return ParrotSession(options.context, pace_s=float(str(model) or 0))


runtime: TextRuntime = _Parrot()
