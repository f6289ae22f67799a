"""Events on their way to the disk: one that does not take them now gets them as soon as it does.

A full disk is first helped by deleting old recordings; a database that became damaged is opened anew. Until an event is written
it is held in memory, and `unwritten` says of how many that is true.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from threading import RLock

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.notify.outbox import RANKS
from edgekit.apps.vision.recording.store import EventStore, Media

log = logging.getLogger(__name__)
MOST = 10_000


class Ledger:
    """Writes events. `add` gives the number to `end` one by; below 0 for those that are not written yet. For several threads."""

    def __init__(self, store: EventStore, make_room: Callable[[], None] = lambda: None, *, most: int = MOST) -> None:
        self._store, self._make_room, self._most, self._lock = store, make_room, most, RLock()
        self._held: dict[int, tuple[Event, Media]] = {}
        self._ends: dict[int, Event] = {}
        self._numbers: dict[int, int] = {}
        self._next = -1
        self.lost = 0
        """Events that were given up since memory is bounded, too."""

    @property
    def unwritten(self) -> int:
        """Events, and ends of events, that the disk has not taken yet."""
        return len(self._held) + len(self._ends)

    def add(self, event: Event, media: Media | None = None) -> int:
        """Write an event; on the disk when the number is above 0."""
        with self._lock:
            self.flush()
            number = None if self._held else self._tried(lambda: self._store.add(event, media))
            return self._hold(event, media or Media()) if number is None else number

    def end(self, number: int, event: Event) -> None:
        """Write how an event ended."""
        with self._lock:
            self.flush()
            if number in self._held:
                self._held[number] = (event, self._held[number][1])
                return
            written = self._numbers.pop(number, number)
            if written > 0 and self._tried(lambda: self._ended(written, event)) is None:
                self._ends[written] = event

    def flush(self) -> None:
        """Write what is held, oldest first, as far as the disk takes it."""
        with self._lock:
            for token in list(self._held):
                event, media = self._held[token]
                number = self._plainly(partial(self._store.add, event, media))
                if number is None:
                    return
                del self._held[token]
                if event.end_s is None:
                    self._numbers[token] = number
            for number in list(self._ends):
                if self._plainly(partial(self._ended, number, self._ends[number])) is None:
                    return
                del self._ends[number]

    def _tried(self, write: Callable[[], int]) -> int | None:
        """What the write gave; None when it failed, and failed again after room was made."""
        try:
            return write()
        except sqlite3.Error as exc:
            log.error("the event database does not take an event: %s", exc)
            self._mend(exc)
            return self._plainly(write)

    def _ended(self, number: int, event: Event) -> int:
        self._store.end(number, event)
        return number

    def _mend(self, exc: sqlite3.Error) -> None:
        """Do what may help: delete old recordings for a full disk, open a damaged database anew."""
        try:
            if isinstance(exc, sqlite3.OperationalError):
                self._make_room()
            else:
                self._store.mend()
        except Exception as again:  # the disk that is full, or worse: the event is held, and the next one tries again
            log.error("that could not be mended: %s", again)

    def _plainly(self, write: Callable[[], int]) -> int | None:
        try:
            return write()
        except sqlite3.Error:
            return None

    def _hold(self, event: Event, media: Media) -> int:
        """Keep an event in memory; a full one gives up of the lowest severity the oldest."""
        if len(self._held) >= self._most:
            worst = min(self._held, key=lambda token: (RANKS[self._held[token][0].severity], -token))
            del self._held[worst]
            self.lost += 1
        token, self._next = self._next, self._next - 1
        self._held[token] = (event, media)
        return token
