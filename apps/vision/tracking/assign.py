"""Who is who: the assignment of detections to tracks with the largest overlap in all."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekit.core.optional import need

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]
FORBIDDEN = 1e6


class Pairs(NamedTuple):
    """Rows of the first and of the second that belong together, and of each those that are left."""

    first: Rows
    second: Rows
    first_left: Rows
    second_left: Rows


def assign(overlap: Floats, least: float) -> Pairs:
    """Pairs of [N, M] overlaps (0..1), none below `least`, such that their sum is largest."""
    count, other = overlap.shape
    if count == 0 or other == 0:
        none = np.empty(0, np.intp)
        return Pairs(none, none, np.arange(count), np.arange(other))
    first, second = _solver()(np.where(overlap >= least, -overlap, FORBIDDEN))
    good = overlap[first, second] >= least
    if not good.all():
        first, second = first[good], second[good]
    return Pairs(first, second, _left(count, first), _left(other, second))


@lru_cache(maxsize=1)
def _solver() -> Any:
    """Looked up once: every frame asks for it."""
    return need("scipy.optimize").linear_sum_assignment


def _left(count: int, taken: Rows) -> Rows:
    if len(taken) == count:
        return np.empty(0, np.intp)
    free = np.ones(count, np.bool_)
    free[taken] = False
    return np.flatnonzero(free)


def overlaps(first: Floats, second: Floats, first_ids: NDArray[Any], second_ids: NDArray[Any]) -> Floats:
    """Intersection over union of every pair of boxes, [N, M]; of different classes 0."""
    left, top, right, bottom = first.T[:, :, None]
    others_left, others_top, others_right, others_bottom = second.T
    # One matrix for each side: numpy is three times slower on one whose last axis holds two numbers.
    found: Floats = np.minimum(right, others_right) - np.maximum(left, others_left)
    tall = np.minimum(bottom, others_bottom) - np.maximum(top, others_top)
    np.maximum(found, 0, out=found)
    found *= np.maximum(tall, 0, out=tall)
    union = _areas(first)[:, None] + _areas(second)[None] - found
    found /= np.maximum(union, 1e-9)
    found *= first_ids[:, None] == second_ids[None]
    return found


def _areas(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    areas: Floats = sides[:, 0] * sides[:, 1]
    return areas
