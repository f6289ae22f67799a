"""From a histogram to a range, and from a range to quantization parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.quantize.observe.histogram import Histogram
from edgekit.converters.quantize.parameters import LIMITS, IntegerType, QuantParams
from edgekit.converters.quantize.ranges.entropy import least_divergent_share

PERCENTILES = (99.9, 99.99, 99.999)
SHRINK = (0.97, 0.93, 0.88, 0.82, 0.75, 0.67, 0.57, 0.46, 0.34)
ROUNDS = 2
SMALLEST_SCALE = 1e-12

Response = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def identity(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The response of an operator that uses every value as it is."""
    return values


@dataclass(frozen=True, kw_only=True)
class Range:
    """The interval of real numbers that the integers must span; zero is always inside it."""

    low: float
    high: float

    @property
    def span(self) -> float:
        """Its length."""
        return self.high - self.low

    @property
    def reach(self) -> float:
        """Its largest absolute value."""
        return max(-self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How activations become integers: the type, and whether zero is integer zero."""

    dtype: IntegerType
    symmetric: bool = False


def min_max(histogram: Histogram) -> Range:
    """The whole observed range, widened to hold zero."""
    return Range(low=min(histogram.minimum, 0.0), high=max(histogram.maximum, 0.0))


def choose(histogram: Histogram, scheme: Scheme, response: Response = identity) -> Range:
    """The candidate range with the least expected squared error over the histogram.

    Candidates are minimum and maximum, three percentiles, the range of least divergence, and shrinkings of either end, so that
    rounding and clipping errors are weighed against each other (the mean-squared-error search of arXiv 2106.08295). `response` is
    what alone is done with the values: the error is measured behind it, so that a Sigmoid's input need not reach where Sigmoid is
    flat.
    """
    whole = min_max(histogram)
    if whole.span == 0:
        return whole
    errors = _errors(histogram, response)
    error_of = cache(lambda candidate: errors(parameters(candidate, scheme)))
    best = min((whole, *_percentiles(histogram), _informative(histogram)), key=error_of)
    for _ in range(ROUNDS):
        before = best
        best = min((best, *(Range(low=best.low * share, high=best.high) for share in SHRINK)), key=error_of)
        best = min((best, *(Range(low=best.low, high=best.high * share) for share in SHRINK)), key=error_of)
        if best == before:
            break
    return best


def expected_error(histogram: Histogram, params: QuantParams, response: Response = identity) -> float:
    """Mean squared difference behind `response` between the histogram's values (bin centres) and what the integers give back."""
    return _errors(histogram, response)(params)


def _errors(histogram: Histogram, response: Response) -> Callable[[QuantParams], float]:
    """The expected error for any parameters: what does not depend on them is reckoned once, over the bins that hold anything."""
    full = np.flatnonzero(histogram.counts)
    counts, centres = histogram.counts[full].astype(np.float64), histogram.centres[full]
    wanted, total = response(centres), max(histogram.total, 1)

    def error_of(params: QuantParams) -> float:
        steps, given = _given_back(centres, params)
        return float(counts @ np.square(response(given)[steps] - wanted)) / total

    return error_of


def _given_back(values: NDArray[np.float64], params: QuantParams) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which step above the lowest each value falls on, and the real number of every step."""
    low, high = LIMITS[params.dtype]
    scale, zero_point = float(params.scale[0]), int(params.zero_point[0])
    real = np.rint(values / scale)
    real += zero_point - low
    np.minimum(np.maximum(real, 0, out=real), high - low, out=real)
    return real.astype(np.int64), np.asarray(np.arange(low - zero_point, high + 1 - zero_point) * scale, np.float64)


def parameters(interval: Range, scheme: Scheme) -> QuantParams:
    """Per-tensor parameters that span `interval`; real zero is exactly representable.

    Symmetric: the zero point stands for integer zero of int8, and -128 stays unused. Asymmetric (affine): all 256 steps are used.
    """
    low, high = LIMITS[scheme.dtype]
    if scheme.symmetric:
        return _per_tensor(interval.reach / high, 0, scheme.dtype)
    scale = max(interval.span / (high - low), SMALLEST_SCALE) if interval.span else 0.0
    zero_point = low if scale == 0.0 else round(low - interval.low / scale)
    return _per_tensor(scale, min(max(zero_point, low), high), scheme.dtype)


def fixed(op: str, dtype: IntegerType) -> QuantParams | None:
    """The parameters that an operator's output has whatever the data, or None.

    Sigmoid and Softmax fill [0, 1), Tanh (-1, 1), as the TFLite int8 specification demands of its kernels; in int16 all are of
    (-1, 1).
    """
    low, high = LIMITS[dtype]
    if dtype == "int16":
        return _per_tensor(1 / 32768, 0, dtype) if op in {"Sigmoid", "Softmax", "Tanh"} else None
    table: Mapping[str, tuple[float, int]] = {
        "Sigmoid": (1 / 256, low),
        "Softmax": (1 / 256, low),
        "Tanh": (1 / 128, (low + high + 1) // 2),
    }
    return _per_tensor(*table[op], dtype) if op in table else None


def spanned(params: QuantParams) -> Range:
    """The real interval that per-tensor parameters can represent."""
    low, high = LIMITS[params.dtype]
    scale, zero_point = float(params.scale[0]), int(params.zero_point[0])
    return Range(low=(low - zero_point) * scale, high=(high - zero_point) * scale)


def same(first: QuantParams, second: QuantParams) -> bool:
    """Whether two per-tensor parameters are equal to the bit."""
    return (
        first.dtype == second.dtype
        and np.array_equal(first.scale, second.scale)
        and np.array_equal(first.zero_point, second.zero_point)
        and first.axis == second.axis
    )


def _per_tensor(scale: float, zero_point: int, dtype: IntegerType) -> QuantParams:
    """A range of zero length gets scale 1: everything is zero and stays so."""
    real = max(scale, SMALLEST_SCALE) if scale > 0 else 1.0
    return QuantParams(scale=np.array([real], np.float32), zero_point=np.array([zero_point], np.int32), dtype=dtype)


def _informative(histogram: Histogram) -> Range:
    """The range that keeps most of what the histogram says."""
    share = least_divergent_share(histogram)
    return Range(low=min(histogram.minimum, 0.0) * share, high=max(histogram.maximum, 0.0) * share)


def _percentiles(histogram: Histogram) -> Iterator[Range]:
    """The intervals that hold a share of all values, cut at both ends alike."""
    mass: NDArray[np.float64] = histogram.counts.astype(np.float64)
    zero_bin = -histogram.start
    if 0 <= zero_bin < mass.size:
        mass[zero_bin] += histogram.zeros
    below = np.cumsum(mass) / max(mass.sum(), 1.0)
    for percentile in PERCENTILES:
        outside = 1 - percentile / 100
        first = int(np.searchsorted(below, outside, side="right"))
        last = min(int(np.searchsorted(below, 1 - outside)), mass.size - 1)
        low = max((histogram.start + first) * histogram.width, histogram.minimum)
        high = min((histogram.start + last + 1) * histogram.width, histogram.maximum)
        yield Range(low=min(low, 0.0), high=max(high, 0.0))
