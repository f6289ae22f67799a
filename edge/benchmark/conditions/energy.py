"""Energy per inference: the same calls go on after the timed region while a meter is read, so that reading it disturbs no latency."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from threading import Event, Thread

from edgekit.benchmark.conditions.meters import Meter
from edgekit.benchmark.process.loop import SECOND, Arrivals, Call, Clock, Pace
from edgekit.benchmark.report import Energy

EVERY_S = 1.0
LEAST, MOST = 3, 30


def readings_for(duration_s: float) -> int:
    """How many readings a run of that duration gets, one a second."""
    return min(MOST, max(LEAST, round(duration_s / EVERY_S)))


def energy(
    call: Call, pace: Pace | Arrivals, meter: Meter, clock: Clock, *, readings: int, query: int = 1, every_s: float = EVERY_S
) -> Energy | None:
    """Call until the meter was read `readings` times; each call is `query` inferences.

    What the board takes when idle is in it. None when the meter stopped to answer before it was read once.
    """
    watts: list[float] = []
    done = Event()
    sampler = Thread(target=_sample, args=(meter.watts, watts, readings, every_s, done), daemon=True)
    begin, count = clock.now(), 0
    sampler.start()
    try:
        while sampler.is_alive():
            pace.wait()
            call()
            count += 1
        seconds = (clock.now() - begin) / SECOND
    finally:
        done.set()
        sampler.join()
    if not watts or not count:
        return None
    return Energy(
        meter=meter.name,
        readings_w=tuple(round(value, 4) for value in watts),
        mean_w=round(fmean(watts), 4),
        seconds=round(seconds, 6),
        inferences=count * query,
        mj_per_inference=round(1e3 * fmean(watts) * seconds / (count * query), 6),
    )


def _sample(read: Callable[[], float | None], watts: list[float], readings: int, every_s: float, done: Event) -> None:
    """Append one reading after the other; ends early when the meter does not answer."""
    while len(watts) < readings and not done.wait(every_s):
        value = read()
        if value is None:
            return
        watts.append(value)
