"""Whether the wall clock can be believed when something is to be deleted for its age: a clock that jumped would delete everything."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time

JUMP_S, GRACE_S = 600.0, 3600.0


class SteadyClock:
    """Compares the wall clock with one that only ever counts on. It is steady when both went alike for `grace_s`."""

    def __init__(
        self, grace_s: float = GRACE_S, *, wall: Callable[[], float] = time, counting: Callable[[], float] = monotonic
    ) -> None:
        self._grace_s, self._wall, self._counting = grace_s, wall, counting
        self._anchor()

    def steady(self) -> bool:
        """Whether the wall clock has not jumped for a while; asking is what notices a jump."""
        counted = self._counting() - self._counted_s
        if abs((self._wall() - self._wall_s) - counted) > JUMP_S:
            self._anchor()
            return False
        return counted >= self._grace_s

    def _anchor(self) -> None:
        self._wall_s, self._counted_s = self._wall(), self._counting()
