"""A histogram that grows while data streams in, in one pass and bounded memory.

Bins are `width * [i, i + 1)` with `width` a power of two, so every bin boundary is exact in binary floating point and doubling
the width merges bins two by two without moving a sample across a boundary. The width depends only on the smallest and the
largest value seen; the result therefore does not depend on the order of the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array

BINS = 2048
SAMPLED = 1 << 15
"""Values counted per array: beyond it, an evenly strided subset (minimum and maximum always see every value)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """Exact extremes of a tensor, and how its values spread between them.

    `counts[i]` values lie in `width * [start + i, start + i + 1)`; `zeros` more are exactly zero and in no bin.
    """

    minimum: float
    maximum: float
    width: float
    start: int
    counts: NDArray[np.int64]
    zeros: int = 0

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin, kept between the extremes."""
        middles = (np.arange(self.counts.size) + (self.start + 0.5)) * self.width
        return np.clip(middles, self.minimum, self.maximum)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum()) + self.zeros


def observe(values: Array, *, phase: int = 0, sampled: int = SAMPLED) -> Histogram:
    """The histogram of a float array. Raises `ValueError` when it is empty or not finite.

    At most about `sampled` values are counted; `phase` shifts that subset, so that successive samples look at different places.
    """
    array = np.asarray(values)
    if array.size == 0:
        raise ValueError("the array is empty")
    minimum, maximum = float(array.min()), float(array.max())
    if not (math.isfinite(minimum) and math.isfinite(maximum)):
        raise ValueError("it holds NaN" if math.isnan(minimum + maximum) else "it holds infinity")
    width = _width(minimum, maximum)
    start, bins = _window(minimum, maximum, width)
    counts, zeros = _count(_strided(array.reshape(-1), phase, sampled), width, start, bins)
    return Histogram(minimum=minimum, maximum=maximum, width=width, start=start, counts=counts, zeros=zeros)


def merge(first: Histogram, second: Histogram) -> Histogram:
    """The histogram of both data sets together; associative and commutative."""
    minimum, maximum = min(first.minimum, second.minimum), max(first.maximum, second.maximum)
    width = _width(minimum, maximum)
    start, bins = _window(minimum, maximum, width)
    counts = _regrid(first, width, start, bins) + _regrid(second, width, start, bins)
    return Histogram(
        minimum=minimum,
        maximum=maximum,
        width=width,
        start=start,
        counts=counts,
        zeros=first.zeros + second.zeros,
    )


def merge_all(histograms: list[Histogram]) -> Histogram:
    """The histogram of all data sets together (at least one)."""
    return reduce(merge, histograms)


def _width(minimum: float, maximum: float) -> float:
    """The smallest power of two that spans the extremes in `BINS` bins and is no finer than float32 resolves there."""
    needed = max((maximum - minimum) / (BINS - 1), max(abs(minimum), abs(maximum)) * 2.0**-22, 2.0**-120)
    mantissa, exponent = math.frexp(needed)
    return math.ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)


def _window(minimum: float, maximum: float, width: float) -> tuple[int, int]:
    start = math.floor(minimum / width)
    return start, math.floor(maximum / width) - start + 1


def _strided(flat: Array, phase: int, sampled: int) -> Array:
    """At most about `sampled` values; the stride is odd so that it does not walk down one column of an image."""
    stride = (flat.size // sampled) | 1
    return flat if flat.size <= sampled else flat[phase % stride :: stride]


def _count(values: Array, width: float, start: int, bins: int) -> tuple[NDArray[np.int64], int]:
    """Counts per bin without the exact zeros, which are returned apart."""
    real = np.multiply(values, 1.0 / width, dtype=np.float64)
    indices = np.floor(real, out=real).astype(np.int64)
    indices -= start
    counts = np.bincount(indices, minlength=bins)
    zeros = int(np.count_nonzero(values == 0))
    if zeros:
        counts[-start] -= zeros
    return counts, zeros


def _regrid(histogram: Histogram, width: float, start: int, bins: int) -> NDArray[np.int64]:
    """The counts on a coarser grid with another window; exact, for both widths are powers of two."""
    counts = np.zeros(bins, np.int64)
    if histogram.width == width:
        first = histogram.start - start
        counts[first : first + histogram.counts.size] = histogram.counts
        return counts
    lefts = (np.arange(histogram.counts.size) + float(histogram.start)) * histogram.width
    indices = np.floor(lefts / width).astype(np.int64) - start
    np.add.at(counts, indices, histogram.counts)
    return counts
