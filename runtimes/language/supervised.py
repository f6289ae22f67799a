"""A language model in one child process that is watched: it may crash, hang or run out of memory, and this process goes on.

One request runs at a time; the others wait in order and are told their place. A request may be cancelled in mid-token and has a
deadline. A process that was lost is started again: the next time at once, after a second failure in a row one second later, then
two, four, up to a minute.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.runtimes._isolated import pause_s
from edgekit.runtimes.language._preflight import preflight
from edgekit.runtimes.language._process import Process
from edgekit.runtimes.language._queue import Line
from edgekit.runtimes.language._wire import Answer, Call, raised
from edgekit.runtimes.machine import usable_memory
from edgekit.runtimes.text import (
    DEFAULTS,
    Done,
    EngineLost,
    EngineRefused,
    OutOfMemory,
    Piece,
    SavedState,
    TextEvent,
    TextModel,
    TextOptions,
    TextRequest,
    Timings,
    Waiting,
)

LOOK_S = 0.02
"""How often a running request looks whether it was cancelled."""
GRACE_S = 5.0
"""How long a child may take to stop when it was told to; then it is killed."""
CALL_S = 120.0
"""For everything but generating."""
NO_FILE = ("parrot",)
"""Engines that open no file."""
log = logging.getLogger(__name__)


class SupervisedSession:
    """The session of `TextSession`, with the engine in a process of its own. For any number of threads."""

    def __init__(
        self, engine: str, model: Path | str, options: TextOptions = DEFAULTS, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine, self._path, self._options, self._clock = engine, str(model), options, clock
        self._line = Line()
        self._process: Process | None = None
        self._failures, self._not_before = 0, 0.0
        self._closed = False
        with self._turn():
            self.model: TextModel = self._opened()

    @property
    def waiting(self) -> int:
        """How many requests are served or wait."""
        return self._line.length

    @property
    def pid(self) -> int | None:
        """Of the engine's process, while there is one."""
        return self._process.pid if self._process is not None else None

    def generate(self, request: TextRequest, *, cancel: threading.Event | None = None) -> Iterator[TextEvent]:
        """See `TextSession`. Raises `EngineLost` when the engine's process ends in mid-answer."""
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
            yield from self._generated(_with_what_is_left(request, ends_at), stop, ends_at)
        finally:
            self._line.leave(ticket)

    def _generated(self, request: TextRequest, stop: threading.Event, ends_at: float) -> Iterator[TextEvent]:
        process = self._living()
        number = process.send(Call(name="generate", request=request))
        told_at: float | None = None
        over = False
        try:
            for answer in self._watched(process, number):
                if answer is None or answer.piece is not None:
                    told_at = self._stopping(process, stop, ends_at, told_at)
                if answer is not None:
                    over = answer.last
                    self._failures = 0 if answer.done else self._failures
                    yield _told(self._event(answer), stop)
        finally:
            if not over and self._process is process:
                self._abandon(process, number)

    def _stopping(self, process: Process, stop: threading.Event, ends_at: float, told_at: float | None) -> float | None:
        """When the child was told to stop; it is killed when it does not."""
        now = time.monotonic()
        if told_at is None and (stop.is_set() or now >= ends_at):
            process.cancel()
            return now
        if told_at is not None and now - told_at > GRACE_S:
            raise self._given_up(process)
        return told_at

    def _event(self, answer: Answer) -> Piece | Done:
        if answer.error:
            raise raised(answer)
        event = answer.piece or answer.done
        if event is None:
            raise EngineLost(f"{self._engine}: its process answered out of turn")
        return event

    def _abandon(self, process: Process, number: int) -> None:
        """Nobody wants the rest of an answer: stop it, so that the next request finds a process that listens."""
        process.cancel()
        told_at = time.monotonic()
        with suppress(EngineLost):  # told to whoever asks next: a fresh process
            for answer in self._watched(process, number):
                if answer is None and time.monotonic() - told_at > GRACE_S:
                    self._lose(process)
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
        answer = self._ask(Call(name="save", path=str(path.absolute())))
        return SavedState(path=path, tokens=answer.count, bytes=answer.bytes)

    def restore(self, path: Path) -> int:
        """See `TextSession`."""
        return self._ask(Call(name="restore", path=str(path.absolute()))).count

    def close(self) -> None:
        """End the process; closing again does nothing."""
        self._closed = True
        process, self._process = self._process, None
        if process is not None:
            process.close()

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
            answer = self._answer(self._living(), call, seconds)
            self._failures = 0  # loading alone is no success: a model may crash at every answer
            return answer

    def _answer(self, process: Process, call: Call, seconds: float) -> Answer:
        until = time.monotonic() + seconds
        for answer in self._watched(process, process.send(call)):
            if answer is None:
                if time.monotonic() >= until:
                    raise self._given_up(process)
                continue
            if answer.error:
                raise raised(answer)
            return answer
        raise EngineLost(f"{self._engine}: its process did not answer")

    def _watched(self, process: Process, number: int) -> Iterator[Answer | None]:
        try:
            yield from process.answers(number, LOOK_S)
        except EngineLost:
            self._lose(process)
            raise

    def _living(self) -> Process:
        if self._closed:
            raise DeviceError(f"this {self._engine} session is closed")
        if self._process is None:
            left = self._not_before - self._clock()
            if left > 0:
                raise EngineLost(
                    f"{self._engine} failed {self._failures} times in a row and is started again in {left:.1f} s",
                    "edgekit doctor",
                )
            log.warning("%s is started again after a failure", self._engine)
            self._opened()
        assert self._process is not None  # `_opened` started it, or raised
        return self._process

    def _opened(self) -> TextModel:
        """Start the process and load the model. Raises `InputError`, `OutOfMemory`, `EngineRefused`, `EngineLost`."""
        limit = 0
        if self._engine not in NO_FILE:
            preflight(Path(self._path), self._options)
            # What a GPU's driver maps into the address space has nothing to do with memory: no limit there.
            limit = usable_memory(self._options.memory_bytes) if not self._options.gpu_layers else 0
        options = replace(self._options, key="")
        call = Call(name="open", engine=self._engine, model=self._path, options=options, limit_bytes=limit)
        process = self._process = Process(self._engine)
        try:
            model = self._answer(process, call, self._options.load_s).model
        except EngineRefused as refused:
            raise self._explained(refused, process) from refused
        except EdgekitError:
            self._lose(process)
            raise
        assert model is not None  # the answer to an open
        return model

    def _explained(self, refused: EngineRefused, process: Process) -> EdgekitError:
        """The refusal with the engine's own reason, out of its log."""
        said = process.last_words()
        self._lose(process)
        memory = "alloc" in said.lower() or "memory" in said.lower()
        kind = OutOfMemory if memory else EngineRefused
        hint = "a smaller context, or a smaller model" if memory else refused.hint
        return kind(refused.message + (f": {said}" if said and said not in refused.message else ""), hint)

    def _given_up(self, process: Process) -> EngineLost:
        self._lose(process)
        return EngineLost(f"{self._engine} did not stop when it was told to, and its process was ended", "edgekit doctor")

    def _lose(self, process: Process) -> None:
        """End a process and count a failure, after which there is none for a while."""
        process.end()
        if self._process is not process:
            return
        self._process = None
        self._failures += 1
        self._not_before = self._clock() + pause_s(self._failures)


def quantize(
    source: Path, goal: Path, file_type: int, importance: Mapping[str, NDArray[Any]], *, seconds: float = 7200
) -> None:
    """libllama's quantizing, in a process of its own: what kills it there is an error here, and leaves no half file."""
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "importance.npz"
        if importance:
            np.savez(matrix, **{name: np.asarray(row) for name, row in importance.items()})  # type: ignore[arg-type]
        process = Process("llama_cpp")
        call = Call(
            name="quantize", path=str(source), goal=str(goal), text=str(file_type), model=str(matrix) if importance else ""
        )
        try:
            _awaited(process, call, seconds)
        except EngineRefused as refused:
            said = process.last_words()
            raise EngineRefused(refused.message + (f": {said}" if said else ""), refused.hint) from refused
        except EngineLost:
            goal.unlink(missing_ok=True)
            raise
        finally:
            process.close()


def library_works(seconds: float = 60) -> bool:
    """Whether libllama loads here and answers; one built for another processor ends its process at once."""
    process = Process("llama_cpp")
    try:
        _awaited(process, Call(name="check"), seconds)
    except EdgekitError as why:
        log.info("libllama does not work here: %s", why)
        return False
    finally:
        process.close()
    return True


def _awaited(process: Process, call: Call, seconds: float) -> None:
    until = time.monotonic() + seconds
    for answer in process.answers(process.send(call), LOOK_S):
        if answer is not None and answer.error:
            raise raised(answer)
        if answer is None and time.monotonic() >= until:
            raise EngineLost(f"{call.name} was not done after {seconds:g} s")


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
