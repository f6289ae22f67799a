"""One stream of an answer, from the local engine or, where that was allowed and failed, from the fallback; measured as it passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from edgekit.apps.assistant.engine import Engine
from edgekit.apps.assistant.fallback import Badge, Fallback, Trigger
from edgekit.apps.assistant.states import States, Turn
from edgekit.core.errors import EdgekitError, InputError, MissingDependency, NotFound, Unsupported
from edgekit.runtimes.text import (
    Done,
    EngineRefused,
    Piece,
    RememberingSession,
    TextEvent,
    TextModel,
    TextRequest,
    TextSession,
    Timings,
    Waiting,
)

NO_MODEL = "no language model was given"
NO_MODEL_HINT = "edgekit run assistant --artifact MODEL, or --documents DIR to quote from documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """The local engine failed, as `reason` says; what it had said is void, and the answer begins again from elsewhere."""

    badge: Badge
    reason: str


GenerationEvent: TypeAlias = "TextEvent | Switched"
MakeRequest = Callable[[TextSession], TextRequest]
"""The request for a session: only a loaded model says what has room in it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer that is wanted. `elsewhere` is what the fallback is asked (None: it is not), `turn` the conversation it belongs to."""

    make: MakeRequest
    cancel: threading.Event
    elsewhere: TextRequest | None = None
    documents_sent: bool = False
    turn: Turn | None = None


@dataclass(kw_only=True)
class Measured:
    """What is known of an answer so far. Times in ms since it was asked for."""

    started: float = field(default_factory=time.perf_counter)
    first_ms: float | None = None
    queued_ms: float | None = None
    total_ms: float | None = None
    timings: Timings = field(default_factory=Timings)
    outcome: str = "stop"
    badge: Badge | None = None
    model: TextModel | None = None

    def see(self, event: GenerationEvent) -> None:
        """Take note of an event."""
        now = (time.perf_counter() - self.started) * 1000
        if isinstance(event, Waiting):
            self.queued_ms = now
        elif isinstance(event, Piece):
            self.first_ms = now if self.first_ms is None else self.first_ms
        elif isinstance(event, Switched):
            self.badge, self.first_ms, self.model = event.badge, None, None
        else:
            self.timings, self.outcome, self.total_ms = event.timings, event.reason, now

    def failed(self, outcome: str) -> None:
        """It ended in another way."""
        self.outcome, self.total_ms = outcome, (time.perf_counter() - self.started) * 1000


class Writer:
    """Engine and fallback as one."""

    def __init__(self, engine: Engine | None, fallback: Fallback | None = None) -> None:
        self.engine, self.fallback = engine, fallback
        self.states: States | None = None
        """Where what the engine remembers of conversations is kept, if it is."""

    def stream(self, wanted: Wanted, measured: Measured) -> Generator[GenerationEvent, None, None]:
        """The answer. Raises what the engine that failed last raised."""
        try:
            for event in self._watched(wanted, measured):
                measured.see(event)
                yield event
        except EdgekitError as exc:
            measured.failed(type(exc).__name__)
            raise
        except GeneratorExit:
            measured.failed("cancelled")
            raise

    def _watched(self, wanted: Wanted, measured: Measured) -> Iterator[GenerationEvent]:
        try:
            late = yield from self._local(wanted, measured)
            trigger: Trigger | None = "deadline" if late else None
            reason = "the local model did not answer in time"
        except EdgekitError as exc:
            trigger, reason = self._trigger(exc, wanted.elsewhere), exc.message
            if trigger is None:
                raise
        if trigger and wanted.cancel.is_set():  # nobody waits for an answer: then nobody else is asked
            yield Done(reason="cancelled", timings=Timings())
        elif trigger and wanted.elsewhere is not None:
            yield from self._switched(trigger, reason, wanted.elsewhere, wanted)

    def _local(self, wanted: Wanted, measured: Measured) -> Generator[GenerationEvent, None, bool]:
        """The local answer; returns whether it was late, and its end is then not told."""
        if self.engine is None:
            raise Unsupported(NO_MODEL, NO_MODEL_HINT)
        session = _loaded(self.engine)
        measured.model = session.model
        for event in self._spoken(session, wanted.make(session), wanted):
            late = isinstance(event, Done) and event.reason == "deadline"
            fallback = self.fallback if wanted.elsewhere is not None else None
            if late and fallback is not None and fallback.wanted_for("deadline"):
                return True
            yield event
        return False

    def _spoken(self, session: TextSession, request: TextRequest, wanted: Wanted) -> Iterator[TextEvent]:
        """The engine's answer; what it remembers is exchanged before, where that is kept."""
        states = self.states
        if states is None or not isinstance(session, RememberingSession):
            yield from session.generate(request, cancel=wanted.cancel)
            return
        for event in session.generate(request, cancel=wanted.cancel, first=states.before(wanted.turn, request)):
            if isinstance(event, Done):
                states.after(event, session)
            yield event

    def close(self) -> None:
        """Keep what the engine remembers, and end both; closing again does nothing."""
        if self.engine is not None:
            if self.states is not None:
                session = self.engine.opened
                self.states.close(session if isinstance(session, RememberingSession) else None)
            self.engine.close()
        if self.fallback is not None:
            self.fallback.close()

    def _trigger(self, exc: EdgekitError, elsewhere: TextRequest | None) -> Trigger | None:
        return self.fallback.wanted_for(exc) if self.fallback is not None and elsewhere is not None else None

    def _switched(self, trigger: Trigger, reason: str, request: TextRequest, wanted: Wanted) -> Iterator[GenerationEvent]:
        assert self.fallback is not None  # else there was no trigger
        told = False
        for event in self.fallback.generate(request, wanted.cancel):
            if not told:
                told = True
                yield Switched(badge=self.fallback.badge(trigger, documents_sent=wanted.documents_sent), reason=reason)
            yield event


def _loaded(engine: Engine) -> TextSession:
    """The session. Whatever keeps it from loading is a refusal, also a file that is no model."""
    try:
        return engine.session()
    except (InputError, NotFound, MissingDependency) as exc:
        raise EngineRefused(exc.message, exc.hint) from exc
