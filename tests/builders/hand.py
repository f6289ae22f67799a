"""A clock that a test turns by hand."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.benchmark.process.loop import SECOND, Clock
from edgekit.benchmark.report import Reading

MS = 1_000_000


class Hand:
    """A clock that a test turns by hand: calls and sleeps take the time they are told to."""

    def __init__(self) -> None:
        self.time = 1_000
        self.slept: list[float] = []

    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += round(seconds * SECOND)

    def taking(self, *latencies_ns: int) -> Callable[[], None]:
        """A call that takes these times, the last one for ever after."""
        left = list(latencies_ns)

        def call() -> None:
            self.time += left.pop(0) if len(left) > 1 else left[0]

        return call


def no_sensors(at_s: float) -> Reading:
    return Reading(at_s=at_s)
