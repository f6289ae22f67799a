"""What the server of the package xllamacpp answers, by the package's own call: no socket stands between, and no other process.

The call comes back with the answer's end only, so that a thread of its own waits in it. It can be told to stop with each thing it
tells: a token, or how much of the prompt was read.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeAlias

import msgspec

from edgekit.runtimes.language._http import Refused
from edgekit.runtimes.text import Timings

LOOK_S = 0.02
"""How often an answer looks whether it should end."""
TOGETHER_S = 0.005
"""Tokens that follow one another faster are told together: nobody sees the difference, and each wake-up takes time from the next."""
_PROGRESS = b'"prompt_progress":{'
_GOES_ON = b'"finish_reason":null'
"""Of no token's text, these two: there, their quotes would be escaped."""
_Told: TypeAlias = "bytes | Future[None]"


class Choice(msgspec.Struct, frozen=True):
    """What one event adds to the answer; `finish_reason` with the last."""

    text: str = ""
    finish_reason: Literal["stop", "length"] | None = None


class Progress(msgspec.Struct, frozen=True):
    """Of reading the prompt: so many of its tokens are known, `cache` of them from before."""

    cache: int = 0
    processed: int = 0


class Event(msgspec.Struct, frozen=True):
    """What is told with each token, and with each part of the prompt that was read."""

    choices: tuple[Choice, ...] = ()
    timings: Timings | None = None
    prompt_progress: Progress = Progress()
    error: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """The token's; empty for what is no token."""
        return "".join(choice.text for choice in self.choices)

    @property
    def reason(self) -> Literal["stop", "length"] | None:
        """Why the answer ended, with its last event."""
        return next((choice.finish_reason for choice in self.choices if choice.finish_reason), None)


class Answers:
    """One answer at a time; the next one begins when the one before, wanted or not, has been told to stop."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._caller = ThreadPoolExecutor(1, "xllamacpp")

    def ask(self, body: Mapping[str, Any]) -> Answer:
        """An answer that has begun. Its `events` have to be taken, or closed: it goes on until then."""
        answer = Answer()
        asked = msgspec.json.encode({**body, "stream": True, "return_progress": True})
        self._caller.submit(self._server.handle_completions, asked, answer.told).add_done_callback(answer.over)
        return answer

    def close(self) -> None:
        """Wait until the server was told to stop with what it answers; again does nothing."""
        self._caller.shutdown()
        self._server = None


class Answer:
    """Between the thread in which the server tells, and the one that asked."""

    def __init__(self) -> None:
        self._told: queue.SimpleQueue[_Told] = queue.SimpleQueue()
        self._over = threading.Event()
        self._unwanted, self._whole = False, False
        self._began = time.monotonic()
        self._first_at = self._last_at = float("-inf")
        self._read, self._said = b"{}", 0

    def told(self, data: bytes) -> bool:
        """The server tells something; whether it should stop. How far it has read the prompt wakes nobody."""
        if _PROGRESS in data:
            self._read = data
        else:
            self._told.put(data)
            if _GOES_ON not in data:
                self._over.set()
        return self._unwanted

    def over(self, call: Future[None]) -> None:
        """The server tells nothing more."""
        self._told.put(call)
        self._over.set()

    def events(self, cancel: threading.Event, ends_at: float) -> Iterator[list[Event]]:
        """What is told with the tokens, together what was there at once; the first is never waited with.

        Ends early when `cancel` is set or the monotonic clock shows `ends_at`. Raises `Refused`, and what the server's call raised.
        """
        try:
            while not (self._whole or cancel.is_set() or time.monotonic() >= ends_at):
                if events := [_event(data) for data in self._come()]:
                    self._count(sum(bool(event.text) for event in events))
                    yield events
        finally:
            self._unwanted = True

    def so_far(self) -> Timings:
        """What an answer took that did not come to its own end, which would have told."""
        now = time.monotonic()
        progress = _event(self._read).prompt_progress
        first_at = self._first_at if self._said else now
        return Timings(
            cache_n=progress.cache,
            prompt_n=progress.processed - progress.cache,
            prompt_ms=1000 * (first_at - self._began),
            predicted_n=self._said,
            predicted_ms=1000 * (now - first_at),
        )

    def _come(self) -> list[bytes]:
        """What was told since, for which a moment is waited. Raises what the call raised, when that is next."""
        found: list[bytes] = []
        try:
            told = self._told.get(timeout=LOOK_S)
            self._over.wait(self._last_at + TOGETHER_S - time.monotonic())
            while isinstance(told, bytes):
                found.append(told)
                told = self._told.get_nowait()
            told.result()
            self._whole = True
        except queue.Empty:
            pass
        return found

    def _count(self, tokens: int) -> None:
        if tokens:
            self._last_at = time.monotonic()
            self._first_at = self._first_at if self._said else self._last_at
            self._said += tokens


def _event(data: bytes) -> Event:
    event = msgspec.json.decode(data, type=Event)
    if event.error is not None:
        raise Refused(str(event.error.get("message", "")), int(event.error.get("code", 500)), event.error)
    return event
