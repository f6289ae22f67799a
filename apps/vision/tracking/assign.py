"""Who is who: the assignment of detections to tracks with the largest overlap in all."""

from __future__ import annotations

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
    solve: Any = need("scipy.optimize").linear_sum_assignment
    first, second = solve(np.where(overlap >= least, 1 - overlap, FORBIDDEN))
    good = overlap[first, second] >= least
    first, second = first[good], second[good]
    return Pairs(first, second, _left(count, first), _left(other, second))


def _left(count: int, taken: Rows) -> Rows:
    free = np.ones(count, np.bool_)
    free[taken] = False
    return np.flatnonzero(free)


def overlaps(first: Floats, second: Floats, first_ids: NDArray[Any], second_ids: NDArray[Any]) -> Floats:
    """Intersection over union of every pair of boxes, [N, M]; of different classes 0."""
    sides = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    np.maximum(sides, 0, out=sides)
    shared = sides[..., 0] * sides[..., 1]
    areas, others = _areas(first), _areas(second)
    union = areas[:, None] + others[None] - shared
    found: Floats = np.where(first_ids[:, None] == second_ids[None], shared / np.maximum(union, 1e-9), 0.0)
    return found


def _areas(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    areas: Floats = sides[:, 0] * sides[:, 1]
    return areas
