"""The highest rate of random requests at which latency stays within a bound: tried, halved, tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.benchmark.process.loop import SECOND, Timed
from edgekit.benchmark.statistics.percentiles import percentiles, samples_needed
from edgekit.core.errors import GateFailed, UsageError

STEPS = 7
"""Each halves the interval: the rate is known to within a hundredth of what the machine could serve without any queue."""

Trial = Callable[[float], Timed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The highest rate that held, and what was timed at it."""

    rate_hz: float
    timed: Timed


def search(trial: Trial, service_ns: float, bound_ms: float, level: float) -> Peak:
    """Search between nothing and the rate at which the engine would never rest (`service_ns` per inference).

    A rate holds when the upper bound of the percentile is below the latency bound: surely, not by luck. Raises `GateFailed`
    when no rate holds, `UsageError` when a trial is too short for the percentile.
    """
    best: Peak | None = None
    low, high = 0.0, SECOND / max(service_ns, 1.0)
    if service_ns > bound_ms * 1e6:
        raise _hopeless(service_ns, bound_ms, level)
    for _ in range(STEPS):
        rate = (low + high) / 2
        found = trial(rate)
        if holds(found.latencies_ns, bound_ms, level):
            low, best = rate, Peak(rate_hz=rate, timed=found)
        else:
            high = rate
    if best is None:
        raise _hopeless(service_ns, bound_ms, level)
    return best


def _hopeless(service_ns: float, bound_ms: float, level: float) -> GateFailed:
    return GateFailed(
        f"no rate keeps p{level:g} within {bound_ms:g} ms: one inference takes {service_ns / 1e6:.3g} ms",
        "a longer --latency-bound, or a faster model",
    )


def holds(latencies_ns: Sequence[int], bound_ms: float, level: float) -> bool:
    """Whether the percentile lies below the bound with the usual confidence."""
    found = percentiles(np.asarray(latencies_ns, np.int64), (level,))
    if not found:
        needed = samples_needed(level)
        raise UsageError(
            f"p{level:g} needs {needed} samples and a trial took {len(latencies_ns)}",
            "a longer --duration gives each trial more",
        )
    return found[0].upper_ms <= bound_ms
