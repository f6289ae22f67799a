"""How much slower one set of runs is than another, and how well that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np

from edgekit.benchmark.report import Run
from edgekit.benchmark.statistics.percentiles import lower_rank, upper_rank
from edgekit.benchmark.statistics.summarise import median_ms, pooled_ns
from edgekit.core.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Latency over the base's latency, with an interval that holds it with `confidence`."""

    value: float
    low: float
    high: float
    confidence: float
    restarts_known: bool
    """Whether the interval includes what a restart changes, which needs two restarts on both sides."""

    @property
    def proven(self) -> bool:
        """Whether the interval leaves no doubt that there is a difference."""
        return self.low > 1 or self.high < 1


def ratio(base: Sequence[Run], other: Sequence[Run], confidence: float = CONFIDENCE) -> Ratio:
    """Ratio of the pooled medians, `other` over `base`.

    The interval spans two: Welch's t interval over the logarithms of the restart medians, which holds what a restart
    changes, and the one from the order-statistic bounds of the pooled medians, which holds the scatter within runs. With a single restart on either side only the second is known. Raises `InputError` for a latency of zero.
    """
    first, second = ([_log(median_ms(run)) for run in runs] for runs in (base, other))
    known = len(first) > 1 and len(second) > 1
    low, high = _scatter(base, other, confidence)
    if known:
        centre, reach = fmean(second) - fmean(first), _welch_reach(first, second, confidence)
        low, high = min(low, centre - reach), max(high, centre + reach)
    return Ratio(
        value=median_ms(*other) / median_ms(*base),
        low=math.exp(low),
        high=math.exp(high),
        confidence=confidence,
        restarts_known=known,
    )


def student_quantile(p: float, freedom: float) -> float:
    """The p-quantile of Student's t for `freedom` >= 1 degrees, by integrating its density in the angle atan(t / sqrt(f))."""
    angles = np.linspace(-math.pi / 2, math.pi / 2, 100_001)
    share = np.cumsum(np.maximum(np.cos(angles), 0.0) ** (freedom - 1))
    return math.sqrt(freedom) * math.tan(float(np.interp(p, share / share[-1], angles)))


def _welch_reach(first: Sequence[float], second: Sequence[float], confidence: float) -> float:
    """Half the width of Welch's interval for the difference of two means. Source: B. L. Welch, Biometrika 34 (1947)."""
    parts = [(variance(logs) / len(logs), len(logs) - 1) for logs in (first, second)]
    total = sum(part for part, _ in parts)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(part**2 / degrees for part, degrees in parts)
    return student_quantile((1 + confidence) / 2, freedom) * math.sqrt(total)


def _scatter(base: Sequence[Run], other: Sequence[Run], confidence: float) -> tuple[float, float]:
    """Log bounds of the ratio of pooled medians: each of the four order-statistic bounds may fail with a quarter of the risk."""
    single = 1 - (1 - confidence) / 4
    (low, high), (other_low, other_high) = (_median_bounds(runs, single) for runs in (base, other))
    return _log(other_low) - _log(high), _log(other_high) - _log(low)


def _log(ms: float) -> float:
    if ms <= 0:
        raise InputError("a latency of zero has no ratio", "was the clock of that machine too coarse for this model?")
    return math.log(ms)


def _median_bounds(runs: Sequence[Run], confidence: float) -> tuple[float, float]:
    """Bounds of the pooled median in ms; the extreme samples where there are too few for the confidence."""
    ordered = np.sort(pooled_ns(runs))
    n = ordered.size
    ranks = max(1, lower_rank(n, 50.0, confidence)), min(n, upper_rank(n, 50.0, confidence))
    low, high = (float(ordered[rank - 1]) / 1e6 for rank in ranks)
    return low, high
