"""A language model in one child process that is watched: it may crash, hang or run out of memory, and this process goes on.

One request runs at a time; the others wait in order and are told their place. A request may be cancelled in mid-token and has a
deadline. A process that was lost is started again.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.runtimes.language._engine_process import CALL_S, LOOK_S, EngineProcess
from edgekit.runtimes.language._process import Process
from edgekit.runtimes.language._queue import Line
from edgekit.runtimes.language._wire import Answer, Call, raised
from edgekit.runtimes.text import (
    DEFAULTS,
    Done,
    EngineLost,
    Memory,
    Piece,
    SavedState,
    TextEvent,
    TextModel,
    TextOptions,
    TextRequest,
    Timings,
    Waiting,
)

GRACE_S = 5.0
"""How long a child may take to stop when it was told to; then it is killed."""

SLOWEST_DISK = 1e6
"""Bytes per second with which a state may be written before that counts as hanging."""


class SupervisedSession:
    """The session of `TextSession`, with the engine in a process of its own. For any number of threads."""

    def __init__(
        self, engine: str, model: Path | str, options: TextOptions = DEFAULTS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._process = EngineProcess(engine, str(model), options, clock)
        self._line = Line()
        with self._turn():
            self.model: TextModel = self._process.opened()

    @property
    def waiting(self) -> int:
        """How many requests are served or wait."""
        return self._line.length

    @property
    def pid(self) -> int | None:
        """Of the engine's process, while there is one."""
        process = self._process.current
        return process.pid if process is not None else None

    def generate(
        self,
        request: TextRequest,
        *,
        cancel: threading.Event | None = None,
        first: Callable[[Memory], None] | None = None,
    ) -> Iterator[TextEvent]:
        """See `RememberingSession`. Raises `EngineLost` when the engine's process ends in mid-answer."""
        stop, ends_at = cancel or threading.Event(), _ends_at(request.deadline_s)
        ticket = object()
        try:
            told = 0
            for position in self._line.enter(ticket, LOOK_S):
                if position and (stop.is_set() or time.monotonic() >= ends_at):
                    yield Done(reason="cancelled" if stop.is_set() else "deadline", timings=Timings())
                    return
                if position not in (0, told):
                    told = position
                    yield Waiting(position=position)
            if first is not None:
                self._process.living()
                first(_Memory(self._process, self.model))
            yield from self._generated(_with_what_is_left(request, ends_at), stop, ends_at)
        finally:
            self._line.leave(ticket)

    def between(self, action: Callable[[Memory], None], *, wait_s: float = 0.0) -> bool:
        """See `RememberingSession`."""
        ticket, until = object(), time.monotonic() + wait_s
        try:
            for position in self._line.enter(ticket, LOOK_S):
                if position and time.monotonic() >= until:
                    return False
            action(_Memory(self._process, self.model))
            return True
        finally:
            self._line.leave(ticket)

    def _generated(self, request: TextRequest, stop: threading.Event, ends_at: float) -> Iterator[TextEvent]:
        process = self._process.living()
        number = process.send(Call(name="generate", request=request))
        told_at: float | None = None
        over = False
        try:
            for answer in self._process.answers(process, number):
                if answer is None or answer.piece is not None:
                    told_at = self._stopping(process, stop, ends_at, told_at)
                if answer is not None:
                    over = answer.last
                    if answer.done:
                        self._process.worked()
                    yield _told(self._event(answer), stop)
        finally:
            if not over and self._process.current is process:
                self._abandon(process, number)

    def _stopping(self, process: Process, stop: threading.Event, ends_at: float, told_at: float | None) -> float | None:
        """When the child was told to stop; it is killed when it does not."""
        now = time.monotonic()
        if told_at is None and (stop.is_set() or now >= ends_at):
            process.cancel()
            return now
        if told_at is not None and now - told_at > GRACE_S:
            raise self._process.given_up(process)
        return told_at

    def _event(self, answer: Answer) -> Piece | Done:
        if answer.error:
            raise raised(answer)
        event = answer.piece or answer.done
        if event is None:
            raise EngineLost(f"{self._process.engine}: its process answered out of turn")
        return event

    def _abandon(self, process: Process, number: int) -> None:
        """Nobody wants the rest of an answer: stop it, so that the next request finds a process that listens."""
        process.cancel()
        told_at = time.monotonic()
        with suppress(EngineLost):  # told to whoever asks next: a fresh process
            for answer in self._process.answers(process, number):
                if answer is None and time.monotonic() - told_at > GRACE_S:
                    self._process.lose(process)
                    return

    def render(self, request: TextRequest) -> str:
        """See `TextSession`."""
        return self._ask(Call(name="render", request=request)).text

    def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """See `TextSession`."""
        return self._ask(Call(name="tokenize", text=text, special=special)).tokens

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `TextSession`."""
        return self._ask(Call(name="detokenize", tokens=tuple(tokens))).text

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """See `TextSession`."""
        return np.array(self._ask(Call(name="embed", texts=tuple(texts))).rows, np.float32).reshape(len(texts), -1)

    def score(self, tokens: Sequence[int]) -> NDArray[Any]:
        """Logits, or logarithms of probabilities, after each token: float32 [len(tokens), vocabulary]."""
        with tempfile.TemporaryDirectory() as folder:
            goal = Path(folder) / "scores.npy"
            self._ask(Call(name="score", tokens=tuple(tokens), goal=str(goal)), seconds=1800)
            found: NDArray[Any] = np.load(goal)
            return found

    def save(self, path: Path) -> SavedState:
        """See `TextSession`."""
        with self._turn():
            return _Memory(self._process, self.model).save(path)

    def restore(self, path: Path) -> int:
        """See `TextSession`."""
        with self._turn():
            return _Memory(self._process, self.model).restore(path)

    def close(self) -> None:
        """End the process; closing again does nothing."""
        self._process.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        ticket = object()
        try:
            for _ in self._line.enter(ticket, LOOK_S):
                pass
            yield
        finally:
            self._line.leave(ticket)

    def _ask(self, call: Call, seconds: float = CALL_S) -> Answer:
        """A call with one answer, in its turn."""
        with self._turn():
            return self._process.ask(call, seconds)


class _Memory:
    """What may be asked of the process by who has the turn."""

    def __init__(self, process: EngineProcess, model: TextModel) -> None:
        self._process, self.model = process, model

    @property
    def process(self) -> int:
        return self._process.current.pid if self._process.current is not None else 0

    def render(self, request: TextRequest) -> str:
        return self._process.ask(Call(name="render", request=request)).text

    def tokenize(self, text: str) -> tuple[int, ...]:
        return self._process.ask(Call(name="tokenize", text=text)).tokens

    def save(self, path: Path) -> SavedState:
        seconds = CALL_S + self.model.context * self.model.kv_bytes_per_token / SLOWEST_DISK
        answer = self._process.ask(Call(name="save", path=str(path.absolute())), seconds)
        return SavedState(path=path, tokens=answer.count, bytes=answer.bytes)

    def restore(self, path: Path) -> int:
        return self._process.ask(Call(name="restore", path=str(path.absolute()))).count


def _ends_at(deadline_s: float | None) -> float:
    return time.monotonic() + deadline_s if deadline_s is not None else float("inf")


def _told(event: Piece | Done, stop: threading.Event) -> Piece | Done:
    """The event; a child that was told to stop calls itself cancelled, also when it was the clock that told it."""
    if isinstance(event, Done) and event.reason == "cancelled" and not stop.is_set():
        return replace(event, reason="deadline")
    return event


def _with_what_is_left(request: TextRequest, ends_at: float) -> TextRequest:
    """The request with the time that waiting left of its deadline."""
    return request if request.deadline_s is None else replace(request, deadline_s=max(0.0, ends_at - time.monotonic()))
