"""A place for one thing: the newest. Who is late finds the last frame, not a queue of old ones."""

from __future__ import annotations

from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """One writer puts, one reader takes; what is not taken in time is replaced and counted in `dropped`."""

    def __init__(self) -> None:
        self._ready = Condition()
        self._value: T | None = None
        self._closed = False
        self.dropped = 0

    def put(self, value: T) -> None:
        with self._ready:
            self.dropped += self._value is not None
            self._value = value
            self._ready.notify()

    def take(self, timeout_s: float | None = None) -> T | None:
        """The newest value, waiting for it; None when the time is over or the place was closed and is empty."""
        with self._ready:
            self._ready.wait_for(lambda: self._value is not None or self._closed, timeout_s)
            value, self._value = self._value, None
            return value

    def close(self) -> None:
        """Nothing more will come."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    @property
    def closed(self) -> bool:
        with self._ready:
            return self._closed and self._value is None
