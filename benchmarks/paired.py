"""Two ways to do the same, compared on a machine that others use, too: in pairs, by the thread's own clock, over several processes.

A pair is one call of each, next to each other, the first now of the one and now of the other: what slows the machine for longer than
a call slows both. What a pair differs by is kept, and of all pairs the median. Memory lies otherwise in every process, which alone
can make percents: so the whole is done in several, and the lowest and the highest of their medians are told beside the middle one. Of
six processes these two enclose the true median with 97 % confidence, whatever the distribution (1 - 2 / 2^6).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

Call = Callable[[], object]
Clock = Callable[[], int]
RESTARTS = 6
SECONDS = 0.2
LEAST_PAIRS, MOST_PAIRS = 12, 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What one process found: medians over its pairs."""

    base_us: float
    more_us: float
    ratio: float
    pairs: int


def difference(base: Call, other: Call, *, clock: Clock = time.thread_time_ns, seconds: float = SECONDS) -> Difference:
    """What `other` takes more than `base`, over so many pairs as fit into the time."""
    base()
    other()
    found: list[tuple[int, int]] = []
    end = time.perf_counter() + seconds
    while len(found) < LEAST_PAIRS or (time.perf_counter() < end and len(found) < MOST_PAIRS):
        found.append(_pair(base, other, clock, len(found) % 2 == 1))
    return Difference(
        base_us=median(one for one, _ in found) / 1e3,
        more_us=median(two - one for one, two in found) / 1e3,
        ratio=median(two / one for one, two in found),
        pairs=len(found),
    )


def _pair(base: Call, other: Call, clock: Clock, swapped: bool) -> tuple[int, int]:
    """Nanoseconds of both."""
    if swapped:
        return tuple(reversed(_pair(other, base, clock, False)))  # type: ignore[return-value]
    begin = clock()
    base()
    between = clock()
    other()
    return between - begin, clock() - between


def plain(found: Difference) -> dict[str, float]:
    """As it crosses from one process to another."""
    return asdict(found)


def told(found: Sequence[Mapping[str, float]]) -> dict[str, float | list[float]]:
    """The middle of what the processes found, and between which values all of them lie."""
    return {
        "base_us": round(median(one["base_us"] for one in found), 2),
        "more_us": round(median(one["more_us"] for one in found), 2),
        "more_us_between": [round(pick(one["more_us"] for one in found), 2) for pick in (min, max)],
        "ratio": round(median(one["ratio"] for one in found), 4),
        "ratio_between": [round(pick(one["ratio"] for one in found), 4) for pick in (min, max)],
        "pairs": sum(int(one["pairs"]) for one in found),
        "processes": len(found),
    }
