"""From measured latencies to rates, and how good they are: relative least squares without negative rates.

The model is a sum: products at one rate per kind of operator, numbers fetched and moved at others, a cost per operator and
one per number that crosses the interface. Errors are relative, so that a small model counts as much as a large one, and
their absolute values are what is kept small (reweighted least squares), so that one disturbed measurement does not bend the
rest. Where measurements leave a choice, rates of a kind stay alike (a ridge, in units that the kind shares): in networks that
all end in the same softmax, what every inference costs could else be laid on that softmax's thousand numbers, and every
network with more such numbers would be predicted many times too slow. Source of the solver: C. L. Lawson and R. J. Hanson, "Solving Least Squares Problems" (1974), chapter 23.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.prediction.work import ELEMENTWISE, FACE, FUNCTION, HEAVY, VIEW, Work

Vector = NDArray[np.float64]
Terms = Mapping[str, float]
LEAST_SAMPLES = 8
"""Fewer measurements cannot tell the rates apart."""
_ROUNDS = 8
_SMALL_ERROR = 0.02
"""Below this relative error a measurement's weight grows no further: it is noise."""
RIDGE = 1e-5
"""So light that it decides only where the measurements do not."""
_FETCHING = ("conv", "pointwise")


def terms(works: Iterable[Work]) -> Terms:
    """What a model amounts to, by the name of the rate that it is multiplied with."""
    found: Counter[str] = Counter()
    for work in works:
        found.update(_terms(work))
    return {name: float(amount) for name, amount in sorted(found.items())}


def _terms(work: Work) -> Mapping[str, int]:
    if work.kind == FACE:
        return {"face": work.writes}
    if work.kind == VIEW:
        return {"operators": 1}
    if work.kind in HEAVY:
        fetched = {f"fetched {work.kind}": work.reads} if work.kind in _FETCHING else {}
        moved = {"moved": work.reads + work.writes, "weights": work.weights}
        return {"operators": 1, f"products {work.kind}": work.macs, **moved, **fetched}
    if work.kind == FUNCTION:
        return {"operators": 1, "functions": work.writes}
    return {"operators": 1, "combined" if work.kind == ELEMENTWISE else "carried": work.reads + work.writes}


def fit(rows: Sequence[Terms], measured_ms: Sequence[float]) -> Terms:
    """The rate of every term (ms per unit, none negative). Raises `InputError` for fewer than 8 samples or a time of zero."""
    if len(rows) < LEAST_SAMPLES:
        raise InputError(f"{len(rows)} measurements are too few to fit rates to; {LEAST_SAMPLES} are the least")
    if min(measured_ms) <= 0:
        raise InputError("a latency of zero has no rate", "was the clock of that machine too coarse?")
    names = sorted({name for row in rows for name in row})
    matrix = np.array([[row.get(name, 0.0) for name in names] for row in rows]) / np.array(measured_ms)[:, None]
    scale = _shared_units(matrix, names)
    rates = _least_absolute(matrix / scale) / scale
    return dict(zip(names, map(float, rates), strict=True))


def _shared_units(matrix: Vector, names: Sequence[str]) -> Vector:
    """For every term the mean amount per millisecond of its whole kind: products, numbers or operators, whichever it counts."""
    kinds = ["products" if name.startswith("products") else "operators" if name == "operators" else "numbers" for name in names]
    totals = {kind: float(matrix[:, [each == kind for each in kinds]].sum(axis=1).mean()) or 1.0 for kind in set(kinds)}
    return np.array([totals[kind] for kind in kinds])


def predicted_ms(row: Terms, rates: Terms) -> float:
    """The latency of a model with these terms; terms without a rate cost nothing."""
    return sum(amount * rates.get(name, 0.0) for name, amount in row.items())


def left_out(rows: Sequence[Terms], measured_ms: Sequence[float], groups: Sequence[Hashable]) -> tuple[float, ...]:
    """Every sample predicted from the samples of all other groups: predicted over measured (1: exact)."""
    ratios = [0.0] * len(rows)
    for group in dict.fromkeys(groups):
        kept = [index for index, other in enumerate(groups) if other != group]
        rates = fit([rows[index] for index in kept], [measured_ms[index] for index in kept])
        for index, other in enumerate(groups):
            if other == group:
                ratios[index] = predicted_ms(rows[index], rates) / measured_ms[index]
    return tuple(ratios)


def mean_error(ratios: Sequence[float]) -> float:
    """The mean absolute relative error (MAPE) of predictions given as predicted over measured."""
    return float(np.mean(np.abs(np.array(ratios) - 1)))


def _least_absolute(matrix: Vector) -> Vector:
    """The non-negative x with the smallest sum of |matrix x - 1|, by reweighting."""
    weights, count = np.ones(len(matrix)), matrix.shape[1]
    for _ in range(_ROUNDS):
        ridge = np.sqrt(RIDGE * np.mean(weights**2)) * np.eye(count)
        x = non_negative(np.vstack([matrix * weights[:, None], ridge]), np.concatenate([weights, np.zeros(count)]))
        weights = 1 / np.sqrt(np.maximum(np.abs(matrix @ x - 1), _SMALL_ERROR))
    return x


def non_negative(matrix: Vector, goal: Vector) -> Vector:
    """The x >= 0 with the smallest |matrix x - goal| (Lawson and Hanson's active sets)."""
    count = matrix.shape[1]
    x, free = np.zeros(count), np.zeros(count, bool)
    tolerance = 1e-10 * np.abs(matrix).sum()
    for _ in range(3 * count):
        gradient = matrix.T @ (goal - matrix @ x)
        gradient[free] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= tolerance:
            break
        free[best] = True
        x, free = _inside(matrix, goal, x, free)
    return x


def _inside(matrix: Vector, goal: Vector, x: Vector, free: NDArray[np.bool_]) -> tuple[Vector, NDArray[np.bool_]]:
    """The least squares solution over the free variables, walked to from `x` and stopped where one would turn negative."""
    while True:
        wanted = np.zeros_like(x)
        wanted[free] = np.linalg.lstsq(matrix[:, free], goal, rcond=None)[0]
        negative = free & (wanted <= 0)
        if not negative.any():
            return wanted, free
        reach = np.min(x[negative] / (x[negative] - wanted[negative]))
        x = x + reach * (wanted - x)
        free = free & ~(negative & (x <= 1e-15))
        x[~free] = 0.0
        if not free.any():
            return x, free
