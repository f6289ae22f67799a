"""One at a time, in the order in which they came."""

from __future__ import annotations

import threading
from collections.abc import Iterator


class Line:
    """Whoever waits knows how many come before."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._tickets: list[object] = []

    @property
    def length(self) -> int:
        """How many are served or wait."""
        return len(self._tickets)

    def enter(self, ticket: object, look_s: float) -> Iterator[int]:
        """The ticket's position whenever it changed or `look_s` passed, and 0 when its turn has come: then it ends."""
        with self._condition:
            self._tickets.append(ticket)
        while True:
            with self._condition:
                position = self._tickets.index(ticket)
            yield position
            if position == 0:
                return
            with self._condition:
                if self._tickets.index(ticket) == position:
                    self._condition.wait(look_s)

    def leave(self, ticket: object) -> None:
        """Let the next one in; again does nothing."""
        with self._condition:
            if ticket in self._tickets:
                self._tickets.remove(ticket)
                self._condition.notify_all()
