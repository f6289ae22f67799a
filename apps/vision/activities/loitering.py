"""Loitering: how a person's path through the frame looks, not just how long it lasts.

Duration alone says little (people wait, shops are busy); how small an area the time was spent in, how direct the way was and how
the steps were distributed say much more. A logistic regression over such measures and their products gives the score; its
coefficients are in `loitering.json`, made by `loitering_fit.py`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from itertools import combinations_with_replacement
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEP_S, LONGEST = 1.0, 120
"""Paths are looked at once a second, and for two minutes at most: what the coefficients were fitted on."""
SMALLEST = 1 / 384
"""Lengths are shares of the frame's width; below a pixel of that frame everything stands still."""
NAMES = (
    "duration", "extent", "path", "displacement", "spread", "pace_5", "slowest_5", "fastest_5", "pace_15", "slowest_15",
    "fastest_15", "still", "turning", "step_deviation", "step", "width_share", "stay_2", "stay_5", "stay_10",
)  # fmt: skip


class Coefficients(msgspec.Struct, frozen=True, kw_only=True):
    """The fitted rule: measures and their products, each brought to mean 0 and deviation 1, weighed, summed, squashed."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    product_mean: tuple[float, ...]
    product_deviation: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    fitted_on: str = ""


def measures(path: Floats) -> Floats:
    """The `NAMES` of one path [N, 2]: positions once a second, in shares of the frame's width (the vertical ones, too)."""
    path = np.asarray(path, np.float64)[-LONGEST:]
    count = len(path)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1) if count > 1 else np.zeros(1)
    sides = path.max(axis=0) - path.min(axis=0)
    extent = float(np.hypot(*sides))
    spread = float(np.sqrt(((path - path.mean(axis=0)) ** 2).sum(axis=1).mean()))
    paces = [pace for seconds in (5, 15) for pace in _paces(path, seconds, extent)]
    displacement = float(np.hypot(*(path[-1] - path[0])))
    lengths = [extent, float(steps.sum()), displacement, spread, *paces]
    still = float((steps < 1.5 * SMALLEST).mean())
    tail = [float(np.log1p(_turning(path))), _log(float(steps.std())), _log(float(np.median(steps)))]
    shape = [still, *tail, float(sides[0]) / (extent + SMALLEST), *_stays(path)]
    return np.array([np.log(count), *(_log(length) for length in lengths), *shape])


def _log(length: float) -> float:
    return float(np.log(length + SMALLEST))


def _paces(path: Floats, seconds: int, extent: float) -> tuple[float, float, float]:
    """Median, least and largest displacement within so many seconds; of a shorter path its extent, stretched."""
    if len(path) <= seconds:
        alike = extent * seconds / max(len(path) - 1, 1)
        return alike, alike, alike
    moved = np.linalg.norm(path[seconds:] - path[:-seconds], axis=1)
    return float(np.median(moved)), float(moved.min()), float(moved.max())


def _stays(path: Floats) -> list[float]:
    """Logarithm of the seconds spent within 2, 5 and 10 % of the frame's width of the place where that is most."""
    apart = np.linalg.norm(path[:, None] - path[None], axis=2)
    return [float(np.log((apart <= radius).sum(axis=1).max())) for radius in (0.02, 0.05, 0.1)]


def _turning(path: Floats) -> float:
    """Radians turned in all, looked at every three seconds and only where there is a step to speak of."""
    steps = np.diff(path[::3], axis=0)
    if len(steps) < 2:
        return 0.0
    moving = np.hypot(*steps.T) > 2 * SMALLEST
    turns = np.abs((np.diff(np.arctan2(steps[:, 1], steps[:, 0])) + np.pi) % (2 * np.pi) - np.pi)
    return float(turns[moving[1:] & moving[:-1]].sum())


def expanded(normal: Floats) -> Floats:
    """[N, K] normalised measures and all their products of two, squares included."""
    pairs = combinations_with_replacement(range(normal.shape[1]), 2)
    return np.concatenate([normal, *(normal[:, one : one + 1] * normal[:, other : other + 1] for one, other in pairs)], axis=1)


def score(path: Floats, coefficients: Coefficients | None = None) -> float:
    """How much the path is that of somebody loitering, 0..1."""
    rule = coefficients or shipped()
    normal = (measures(path) - rule.mean) / rule.deviation
    terms = (expanded(normal[None])[0] - rule.product_mean) / rule.product_deviation
    return float(1 / (1 + np.exp(-np.clip(terms @ np.array(rule.weights) + rule.bias, -30, 30))))


@cache
def shipped() -> Coefficients:
    """The coefficients that come with edgekit."""
    data: Any = files("edgekit.apps.vision.activities").joinpath("loitering.json").read_bytes()
    return msgspec.json.decode(data, type=Coefficients)


class PathKeeper:
    """One track's positions, once a second, the last two minutes of them."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._last_s: float | None = None

    def add(self, x: float, y: float, time_s: float) -> bool:
        """A position in shares of the frame's width; whether it was kept (a second has passed since the last)."""
        if self._last_s is not None and 0 <= time_s - self._last_s < STEP_S - 1e-6:
            return False
        self._last_s = time_s
        self._points = [*self._points[-(LONGEST - 1) :], (x, y)]
        return True

    @property
    def path(self) -> Floats:
        return np.array(self._points).reshape(-1, 2)
