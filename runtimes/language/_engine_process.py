"""The process of one model: started with its file checked and its memory limited, and again after it was lost.

The next time at once, after a second failure in a row one second later, then two, four, up to a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.runtimes._isolated import pause_s
from edgekit.runtimes.language._preflight import preflight
from edgekit.runtimes.language._process import Process
from edgekit.runtimes.language._wire import Answer, Call, raised
from edgekit.runtimes.machine import usable_memory
from edgekit.runtimes.text import EngineLost, EngineRefused, OutOfMemory, TextModel, TextOptions

LOOK_S = 0.02
"""How often a running request looks whether it was cancelled."""
CALL_S = 120.0
"""For everything but generating."""
NO_FILE = ("parrot",)
"""Engines that open no file."""
log = logging.getLogger(__name__)


class EngineProcess:
    """For one thread at a time, but for `close`."""

    def __init__(self, engine: str, model: str, options: TextOptions, clock: Callable[[], float]) -> None:
        self.engine = engine
        self._path, self._options, self._clock = model, options, clock
        self.current: Process | None = None
        self._failures, self._not_before = 0, 0.0
        self._closed = False

    def opened(self) -> TextModel:
        """Start the process and load the model. Raises `InputError`, `OutOfMemory`, `EngineRefused`, `EngineLost`."""
        limit = 0
        if self.engine not in NO_FILE:
            preflight(Path(self._path), self._options)
            # What a GPU's driver maps into the address space has nothing to do with memory: no limit there.
            limit = usable_memory(self._options.memory_bytes) if not self._options.gpu_layers else 0
        options = replace(self._options, key="")
        call = Call(name="open", engine=self.engine, model=self._path, options=options, limit_bytes=limit)
        process = self.current = Process(self.engine)
        try:
            model = self._answer(process, call, self._options.load_s).model
        except EngineRefused as refused:
            raise self._explained(refused, process) from refused
        except EdgekitError:
            self.lose(process)
            raise
        assert model is not None  # the answer to an open
        return model

    def living(self) -> Process:
        """The process, started again if it was lost. Raises `EngineLost` while that is waited with, and what `opened` raises."""
        if self._closed:
            raise DeviceError(f"this {self.engine} session is closed")
        if self.current is None:
            left = self._not_before - self._clock()
            if left > 0:
                raise EngineLost(
                    f"{self.engine} failed {self._failures} times in a row and is started again in {left:.1f} s",
                    "edgekit doctor",
                )
            log.warning("%s is started again after a failure", self.engine)
            self.opened()
        assert self.current is not None  # `opened` started it, or raised
        return self.current

    def ask(self, call: Call, seconds: float = CALL_S) -> Answer:
        """A call with one answer."""
        answer = self._answer(self.living(), call, seconds)
        self.worked()  # loading alone is no success: a model may crash at every answer
        return answer

    def answers(self, process: Process, number: int) -> Iterator[Answer | None]:
        """See `Process.answers`; a process that is lost counts as a failure."""
        try:
            yield from process.answers(number, LOOK_S)
        except EngineLost:
            self.lose(process)
            raise

    def worked(self) -> None:
        """It did what it was asked: the failures before do not count any more."""
        self._failures = 0

    def given_up(self, process: Process) -> EngineLost:
        """End a process that does not listen; the error that says so."""
        self.lose(process)
        return EngineLost(f"{self.engine} did not stop when it was told to, and its process was ended", "edgekit doctor")

    def lose(self, process: Process) -> None:
        """End a process and count a failure, after which there is none for a while."""
        process.end()
        if self.current is not process:
            return
        self.current = None
        self._failures += 1
        self._not_before = self._clock() + pause_s(self._failures)

    def close(self) -> None:
        """End the process for good; closing again does nothing."""
        self._closed = True
        process, self.current = self.current, None
        if process is not None:
            process.close()

    def _answer(self, process: Process, call: Call, seconds: float) -> Answer:
        until = time.monotonic() + seconds
        for answer in self.answers(process, process.send(call)):
            if answer is None:
                if time.monotonic() >= until:
                    raise self.given_up(process)
                continue
            if answer.error:
                raise raised(answer)
            return answer
        raise EngineLost(f"{self.engine}: its process did not answer")

    def _explained(self, refused: EngineRefused, process: Process) -> EdgekitError:
        """The refusal with the engine's own reason, out of its log."""
        process.finish()  # engines write their logs when they have the time
        said = process.last_words()
        self.lose(process)
        memory = "alloc" in said.lower() or "memory" in said.lower()
        kind = OutOfMemory if memory else EngineRefused
        hint = "a smaller context, or a smaller model" if memory else refused.hint
        return kind(refused.message + (f": {said}" if said and said not in refused.message else ""), hint)
