"""A second engine on another machine, asked only when the user said so and the first one failed in one of a few ways.

Documents stay here unless a second switch allows otherwise: without it the other machine gets the question alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from edgekit.core.errors import EdgekitError
from edgekit.runtimes.text import (
    BadStream,
    Done,
    EngineLost,
    EngineRefused,
    OutOfMemory,
    RemoteRefused,
    TextEvent,
    TextOptions,
    TextRequest,
    TextSession,
    Timings,
)

Trigger = Literal["refused", "deadline", "memory", "stream", "lost"]
TRIGGERS: tuple[Trigger, ...] = ("refused", "deadline", "memory", "stream", "lost")
"""The local engine refused to load or to answer; it was late; it had no memory; its stream was malformed; it died."""
FAILURES, PAUSE_S = 3, 60.0
TRIES, FIRST_WAIT_S = 3, 0.5
_KINDS: tuple[tuple[type[EdgekitError], Trigger], ...] = (
    (OutOfMemory, "memory"),
    (EngineLost, "lost"),
    (BadStream, "stream"),
    (EngineRefused, "refused"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackOptions:
    """What the user allowed. Without a `url` there is no fallback."""

    url: str = ""
    key: str = field(default="", repr=False)
    documents: bool = False
    """Whether passages of the user's documents may be sent."""
    triggers: tuple[Trigger, ...] = TRIGGERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """What is shown beside an answer from elsewhere: whose it is, why it was asked, and whether passages were sent."""

    url: str
    model: str
    reason: str
    documents_sent: bool


class Breaker:
    """Stops asking a server that failed three times in a row; after a minute one question may try again."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._failures = 0
        self._until = 0.0

    @property
    def open_for_s(self) -> float:
        """How long nothing is asked yet; 0 when asking is allowed."""
        with self._lock:
            return max(0.0, self._until - self._clock()) if self._failures >= FAILURES else 0.0

    def succeeded(self) -> None:
        """It works."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """It does not."""
        with self._lock:
            self._failures += 1
            self._until = self._clock() + PAUSE_S


class Fallback:
    """The other engine behind its breaker. `open_session` makes a session for an address, when the first question comes."""

    def __init__(
        self,
        options: FallbackOptions,
        open_session: Callable[[str, TextOptions], TextSession],
        *,
        breaker: Breaker | None = None,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        """`wait` waits so many seconds, or until the event, by which an answer is cancelled, is set."""
        self.options, self._open, self._wait = options, open_session, wait
        self.breaker = breaker or Breaker()
        self._session: TextSession | None = None

    def wanted_for(self, reason: EdgekitError | Literal["deadline"]) -> Trigger | None:
        """The trigger that this failure is, when the user allowed it; None: it stays a failure."""
        if not self.options.url:
            return None
        found: Trigger | None = "deadline" if reason == "deadline" else _trigger(reason)
        return found if found in self.options.triggers else None

    def generate(self, request: TextRequest, cancel: threading.Event) -> Iterator[TextEvent]:
        """The other engine's answer. What may pass is tried three times, as long as nothing has been said and nobody cancels.

        Raises `RemoteRefused`, also while the breaker is open, and what a stream raises.
        """
        for attempt in range(1, TRIES + 1):
            if cancel.is_set():
                yield Done(reason="cancelled", timings=Timings())
                return
            if pause := self.breaker.open_for_s:
                raise RemoteRefused(
                    f"the fallback {self.options.url} failed {FAILURES} times and rests for {pause:.0f} s",
                    "is it running?",
                    retryable=True,
                )
            said = False
            try:
                for event in self._connected().generate(request, cancel=cancel):
                    said = True
                    yield event
                    if isinstance(event, Done):
                        self.breaker.succeeded()
                return
            except EdgekitError as exc:
                self.breaker.failed()
                if said or attempt == TRIES or not _may_pass(exc):
                    raise
            self._wait(cancel, FIRST_WAIT_S * 2 ** (attempt - 1))

    def badge(self, trigger: Trigger, *, documents_sent: bool) -> Badge:
        """What to show."""
        model = self._session.model.name if self._session is not None else ""
        return Badge(url=self.options.url, model=model, reason=trigger, documents_sent=documents_sent)

    def close(self) -> None:
        """Closing again does nothing."""
        if self._session is not None:
            self._session.close()

    def _connected(self) -> TextSession:
        if self._session is None:
            self._session = self._open(self.options.url, TextOptions(key=self.options.key))
        return self._session


def _trigger(reason: EdgekitError) -> Trigger | None:
    """The kind of failure; a server elsewhere that is asked first counts as refused when asking again makes no sense."""
    if isinstance(reason, RemoteRefused):
        return "lost" if reason.retryable else "refused"
    return next((trigger for kind, trigger in _KINDS if isinstance(reason, kind)), None)


def _may_pass(reason: EdgekitError) -> bool:
    """A busy server may answer later; one that does not know the key, the model or the question will not."""
    return isinstance(reason, RemoteRefused) and reason.retryable
