"""The range that keeps most of what a histogram says: least Kullback-Leibler divergence (TensorRT's calibration, GTC 2017, S7310)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.quantize.observe.histogram import Histogram

LEVELS = 256
SHARES = tuple(float(share) for share in np.linspace(1.0, 0.2, 9))
"""Of the whole range, from all of it on: the parts that are tried."""


def least_divergent_share(histogram: Histogram) -> float:
    """The share of both ends at which `LEVELS` steps tell most about how the values are spread; the largest of equals."""
    mass: NDArray[np.float64] = histogram.counts.astype(np.float64)
    if mass.sum() == 0:
        return 1.0
    return min(SHARES, key=lambda share: divergence(histogram, mass, share))


def divergence(histogram: Histogram, mass: NDArray[np.float64], share: float) -> float:
    """How much is lost when the values are cut to this share of the range and then told apart in `LEVELS` steps only."""
    low, high = min(histogram.minimum, 0.0) * share, max(histogram.maximum, 0.0) * share
    centres = histogram.centres
    inside = (centres >= low) & (centres <= high)
    if not inside.any():
        return float("inf")
    kept = np.flatnonzero(inside)
    exact = mass[kept].copy()
    exact[0] += mass[: kept[0]].sum()
    exact[-1] += mass[kept[-1] + 1 :].sum()
    level = np.minimum(((centres[kept] - low) / max(high - low, 1e-300) * LEVELS).astype(np.int64), LEVELS - 1)
    filled = mass[kept] > 0
    total, places = np.bincount(level, mass[kept], LEVELS), np.bincount(level, filled, LEVELS)
    spread = np.where(filled, total[level] / np.maximum(places[level], 1), 0.0)
    return _kullback_leibler(exact / exact.sum(), spread / max(spread.sum(), 1e-300))


def _kullback_leibler(exact: NDArray[np.float64], told: NDArray[np.float64]) -> float:
    """sum p log(p / q); infinite where q says never and p says sometimes, but for the ends that took in what was cut."""
    used = exact > 0
    return float((exact[used] * np.log(exact[used] / np.maximum(told[used], 1e-12))).sum())
