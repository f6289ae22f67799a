"""Live pictures for whoever watches: the latest JPEG of a camera, made only while somebody looks.

A pipeline asks `is_watched` before it encodes, and shows what it made from any thread; each watcher gets the latest picture,
never a queue of old ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from edgekit.core.errors import InputError

BOUNDARY = "edgekit-frame"
CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
HEAD = b"--%s\r\nContent-Type: image/jpeg\r\n\r\n" % BOUNDARY.encode()
WATCHERS = 16
ALLOWED_EVERY_S = 10.0
STALLED_AFTER_S = 5.0


class Broadcast:
    """The latest picture of one camera, and those who watch it."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._jpeg, self._number, self._shown_at, self._watched_at = b"", 0, 0.0, 0.0
        self._watchers: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @property
    def is_watched(self) -> bool:
        """Whether a picture is worth encoding."""
        return bool(self._watchers)

    @property
    def quiet_s(self) -> float | None:
        """How long those who watch have waited for a picture: since the latest, or since they came, for nothing is made while nobody
        watches. None before the first picture."""
        return self._now() - max(self._shown_at, self._watched_at) if self._number else None

    def show(self, jpeg: bytes) -> None:
        """The next picture, from any thread."""
        self._jpeg, self._number, self._shown_at = jpeg, self._number + 1, self._now()
        for event, loop in list(self._watchers.items()):
            loop.call_soon_threadsafe(event.set)

    async def next_within(self, seconds: float) -> bytes | None:
        """The next picture; when none comes in time the latest; None before the first. Raises `InputError` when too many watch."""
        event = self._joined()
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        finally:
            del self._watchers[event]
        return self._jpeg or None

    def _joined(self) -> asyncio.Event:
        if len(self._watchers) >= WATCHERS:
            raise InputError(f"{WATCHERS} watch already", "close another page")
        if not self._watchers:
            self._watched_at = self._now()
        event = asyncio.Event()
        self._watchers[event] = asyncio.get_running_loop()
        return event

    async def frames(self) -> AsyncIterator[bytes]:
        """The latest picture and each that follows, as fast as they are taken. Raises `InputError` when too many watch."""
        event, seen = self._joined(), 0
        try:
            while True:
                if seen == self._number:
                    await event.wait()
                event.clear()
                seen = self._number
                if self._jpeg:
                    yield self._jpeg
        finally:
            del self._watchers[event]


async def multipart(broadcast: Broadcast, allowed: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The broadcast as the body of a `CONTENT_TYPE` answer; it ends when `allowed` (asked now and then) says no.

    The head of the next picture goes out with each one: Chromium shows a picture when it has read what follows up to there, so
    that every picture would be one late, and the last one of a recording would never be seen. No length can be said then.
    """
    asked_at = time.monotonic()
    yield HEAD
    async for jpeg in broadcast.frames():
        if time.monotonic() - asked_at > ALLOWED_EVERY_S:
            asked_at = time.monotonic()
            if not allowed():
                return
        yield jpeg + b"\r\n" + HEAD
