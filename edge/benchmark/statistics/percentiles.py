"""Percentiles that say how well they are known: order statistics with exact binomial bounds.

For n independent samples the number that fall at or below the true p-quantile is binomial(n, p), whatever the
distribution is. So the k-th smallest sample is an upper bound for that quantile with confidence
P(binomial(n, p) <= k - 1). A percentile is given only when such a bound exists below the largest sample, that is with one
exceedance to spare: the counts are then MLPerf's early-stopping minima (p90: 64, p99: 662, p99.9: 6636 at 99 %).
Source: H. A. David, "Order Statistics", section 2.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edgekit.benchmark.report import Percentile

CONFIDENCE = 0.99
LEVELS = (50.0, 90.0, 99.0, 99.9)


def samples_needed(level: float, confidence: float = CONFIDENCE) -> int:
    """The least n whose second largest sample bounds the `level`-th percentile from above with that confidence."""
    p = level / 100
    n = 2
    while 1 - p**n - n * (1 - p) * p ** (n - 1) < confidence:
        n += 1
    return n


def upper_rank(n: int, level: float, confidence: float = CONFIDENCE) -> int:
    """The smallest k (1-based) for which the k-th smallest of n samples bounds the percentile from above; n + 1: none does."""
    return int(np.searchsorted(_cdf(n, level / 100), confidence)) + 1


def lower_rank(n: int, level: float, confidence: float = CONFIDENCE) -> int:
    """The largest k (1-based) for which the k-th smallest of n samples bounds the percentile from below; 0: none does."""
    return n + 1 - upper_rank(n, 100 - level, confidence)


def value_rank(n: int, level: float) -> int:
    """The rank (1-based) of the percentile itself: the nearest-rank definition, so that it is always a measured value."""
    return max(1, math.ceil(round(level / 100 * n, 9)))


def percentiles(
    samples: NDArray[np.int64], levels: Iterable[float] = LEVELS, confidence: float = CONFIDENCE
) -> tuple[Percentile, ...]:
    """Those of `levels` that the samples (nanoseconds, any order) are numerous enough for, with bounds on both sides."""
    ordered = np.sort(samples)
    enough = (level for level in levels if ordered.size >= samples_needed(level, confidence))
    return tuple(_percentile(ordered, level, confidence) for level in enough)


def _percentile(ordered: NDArray[np.int64], level: float, confidence: float) -> Percentile:
    n = ordered.size
    ranks = (max(1, lower_rank(n, level, confidence)), value_rank(n, level), upper_rank(n, level, confidence))
    lower, value, upper = (round(int(ordered[rank - 1]) / 1e6, 6) for rank in ranks)
    return Percentile(level=level, value_ms=value, lower_ms=lower, upper_ms=upper)


def _cdf(n: int, p: float) -> NDArray[np.float64]:
    """P(binomial(n, p) <= i) for i = 0 .. n - 1, from ratios of neighbouring terms, scaled so that they add up to one."""
    i = np.arange(n, dtype=np.float64)
    logs = np.concatenate(([0.0], np.cumsum(np.log((n - i) / (i + 1)) + math.log(p / (1 - p)))))
    weights = np.exp(logs - logs.max())
    cumulative: NDArray[np.float64] = np.cumsum(weights)
    return np.asarray(cumulative[:-1] / cumulative[-1])
