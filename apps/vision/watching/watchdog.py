"""Watchdogs: each knows how long the step that it watches has been going on, and is well until that is too long.

What is watched are the steps that can hang in somebody else's code: reading a camera, running a network, writing to a disk. A
camera that gives no frames is no reason to bark; its read comes back and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic


class Watchdog:
    """Watches one kind of step, which may be under way in several threads at once."""

    def __init__(self, name: str, limit_s: float, *, clock: Callable[[], float] = monotonic) -> None:
        self.name, self.limit_s, self._clock = name, limit_s, clock
        self._begun: dict[object, float] = {}
        self._lock = Lock()

    @contextmanager
    def step(self) -> Iterator[None]:
        """The block is watched."""
        token = object()
        with self._lock:
            self._begun[token] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                del self._begun[token]

    @property
    def busy_s(self) -> float:
        """For how long the oldest step has been going on; 0 between steps."""
        with self._lock:
            return max((self._clock() - begun for begun in self._begun.values()), default=0.0)

    @property
    def well(self) -> bool:
        return self.busy_s <= self.limit_s


def complaints(watchdogs: Iterable[Watchdog]) -> tuple[str, ...]:
    """What the watchdogs that are not well say."""
    looked = ((dog, dog.busy_s) for dog in watchdogs)
    return tuple(f"{dog.name} hangs for {busy_s:.0f} s" for dog, busy_s in looked if busy_s > dog.limit_s)
