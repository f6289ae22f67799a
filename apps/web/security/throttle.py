"""How often somebody may try: a bucket of tries for each key, refilled with time."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`burst` tries at once, then one every `seconds`."""

    burst: int
    seconds: float


class Throttle:
    """Counts failed tries by key. Only so many keys are remembered: the one that was quiet longest is forgotten first."""

    def __init__(self, rate: Rate, *, keys: int = 10_000, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._keys, self._now = rate, keys, now
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str) -> int:
        """How many whole seconds until `key` may try again; 0 when it may now."""
        over = self._level(key) - (self._rate.burst - 1)
        return max(0, math.ceil(over * self._rate.seconds - ROUNDING_S))

    def failed(self, key: str) -> None:
        """One more failed try of `key`."""
        self._spent[key] = (self._level(key) + 1, self._now())
        self._spent.move_to_end(key)
        while len(self._spent) > self._keys:
            self._spent.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Whoever gets in starts anew."""
        self._spent.pop(key, None)

    def _level(self, key: str) -> float:
        spent, when = self._spent.get(key, (0.0, 0.0))
        return max(0.0, spent - (self._now() - when) / self._rate.seconds) if spent else 0.0
