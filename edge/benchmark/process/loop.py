"""The timed loop: two readings of the clock around each call, everything else outside them."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

from edgekit.benchmark.process.order import PATIENCE
from edgekit.benchmark.report import Reading, Warmup

SECOND = 1_000_000_000
SETTLED_WITHIN = 0.02
SAMPLE_LIMIT = 200_000
"""Most samples one run records; beyond it every second, third, ... inference is."""
_WARMUP_LEAST_NS = SECOND // 4
_WARMUP_LEAST_RUNS = 6
_READINGS_EVERY_NS = SECOND
HEAT_STRETCH_S = 5
"""Two stretches of so many seconds are compared: the thermal mass of a board answers within minutes, not within one second."""
HEAT_STEP_C = 0.5

Call = Callable[[], object]
Sense = Callable[[float], Reading]
Heat = Callable[[], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where the time comes from (nanoseconds), and how to wait (seconds)."""

    now: Callable[[], int] = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep


DEFAULT_CLOCK = Clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What the timed region gave."""

    latencies_ns: Sequence[int]
    readings: tuple[Reading, ...]
    seconds: float
    missed: int


@dataclass(slots=True, kw_only=True)
class Pace:
    """When the next call is due. Without a period at once; with one at its ticks, and a tick that passed is missed."""

    clock: Clock
    period_ns: int = 0
    missed: int = 0
    _due: int = field(default=0)

    def wait(self) -> int:
        """Return when the next call is due; sleeping, so that the machine idles as it would between frames.

        The answer is when the call's latency begins, 0 for now.
        """
        if not self.period_ns:
            return 0
        now = self.clock.now()
        self._due = self._due + self.period_ns if self._due else now
        if now > self._due:
            late = -(-(now - self._due) // self.period_ns)
            self.missed += late
            self._due += late * self.period_ns
        if self._due > now:
            self.clock.sleep((self._due - now) / SECOND)
        return 0


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """Requests at random: the times between them are exponential, so that they come as those of many unrelated users do.

    They wait in a queue of any length, and the latency of a request begins when it arrives, not when its turn comes.
    """

    clock: Clock
    rate_hz: float
    random: Random
    missed: int = 0
    _due: int = field(default=0)

    def wait(self) -> int:
        """Return when the next request is there; the answer is when it arrived."""
        now = self.clock.now()
        self._due = (self._due or now) + round(self.random.expovariate(self.rate_hz) * SECOND)
        if self._due > now:
            self.clock.sleep((self._due - now) / SECOND)
        return self._due


def settled(latencies: Sequence[int]) -> bool:
    """Whether latency has stopped moving: the medians of the thirds of the later half lie within 2 % of each other."""
    if len(latencies) < _WARMUP_LEAST_RUNS:
        return False
    later = latencies[len(latencies) // 2 :]
    third = len(later) // 3
    levels = [median(later[start : start + third]) for start in (0, third, len(later) - third)]
    return max(levels) <= min(levels) * (1 + SETTLED_WITHIN)


def warm_up(call: Call, pace: Pace | Arrivals, limit_s: float, clock: Clock, heat: Heat = lambda: None) -> tuple[Warmup, float]:
    """Call until latency and temperature have settled, at least a quarter of a second and at most `limit_s`; also the last median in ns.

    `heat` reads the temperature, once a second. Where nothing tells it, or the limit is too short to see it settle, latency
    alone decides.
    """
    latencies, temperatures = array("q"), [heat()]
    start = clock.now()
    limit, check = start + int(limit_s * SECOND), start + min(_WARMUP_LEAST_NS, int(limit_s * SECOND))
    waits = temperatures[0] is not None and limit_s > 2 * HEAT_STRETCH_S
    read_at, steady = start + _READINGS_EVERY_NS, False
    while True:
        end = _timed_call(call, pace, clock, latencies)
        if end >= read_at:
            temperatures.append(heat())
            read_at = end + _READINGS_EVERY_NS
        if end >= check:
            steady = settled(latencies)
            check = end + _WARMUP_LEAST_NS // 2
        warm = warmed_through(temperatures) if waits else None
        if (steady and warm is not False) or end >= limit:
            recent = latencies[-min(len(latencies), 101) :]
            found = Warmup(
                runs=len(latencies),
                seconds=round((end - start) / SECOND, 6),
                steady=steady,
                temperature_steady=warm,
                temperatures_c=tuple(value for value in temperatures if value is not None),
            )
            return found, float(median(recent))


def warmed_through(temperatures: Sequence[float | None]) -> bool | None:
    """Whether the last ten seconds' temperatures (one a second) no longer rise; None when the sensor fell silent."""
    recent = temperatures[-2 * HEAT_STRETCH_S :]
    if len(temperatures) < 2 * HEAT_STRETCH_S:
        return False
    known = [value for value in recent if value is not None]
    if len(known) < len(recent):
        return None
    return median(known[HEAT_STRETCH_S:]) - median(known[:HEAT_STRETCH_S]) < HEAT_STEP_C


def timed(
    call: Call, pace: Pace | Arrivals, *, duration_s: float, minimum: int, stride: int, sense: Sense, clock: Clock
) -> Timed:
    """Call for `duration_s`, longer (up to `PATIENCE` times) while there are fewer than `minimum` samples.

    Sensors are read between calls, at the start, at most once a second, and at the end.
    """
    latencies, skipped = array("q"), array("q")
    readings = [sense(0.0)]
    start = clock.now()
    stop, last = start + int(duration_s * SECOND), start + int(PATIENCE * duration_s * SECOND)
    read_at, count, end = start + _READINGS_EVERY_NS, 0, start
    while end < stop or (len(latencies) < minimum and end < last):
        count += 1
        if count % stride:
            end = _timed_call(call, pace, clock, skipped)
            del skipped[:]
        else:
            end = _timed_call(call, pace, clock, latencies)
        if end >= read_at:
            readings.append(sense((end - start) / SECOND))
            read_at = clock.now() + _READINGS_EVERY_NS
    seconds = (end - start) / SECOND
    return Timed(latencies_ns=latencies, readings=(*readings, sense(seconds)), seconds=seconds, missed=pace.missed)


def stride_for(median_ns: float, duration_s: float, period_ns: int) -> int:
    """Record one inference in so many, so that a long run of a fast model stays within `SAMPLE_LIMIT` samples."""
    expected = duration_s * SECOND / max(median_ns, period_ns, 1)
    return max(1, math.ceil(expected / SAMPLE_LIMIT))


def overhead_ns(clock: Clock, rounds: int = 2001) -> int:
    """What the timer reads when there is nothing to time (median)."""
    latencies = array("q")
    for _ in range(rounds):
        _timed_call(_nothing, Pace(clock=clock), clock, latencies)
    return int(median(latencies))


def _timed_call(call: Call, pace: Pace | Arrivals, clock: Clock, latencies: array[int]) -> int:
    """One call at its due time; its latency is appended. Returns when it ended."""
    due = pace.wait()
    now = clock.now
    begin = due or now()
    call()
    end = now()
    latencies.append(end - begin)
    return end


def _nothing() -> None:
    """What there is to time when there is nothing."""
