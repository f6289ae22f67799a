"""Digits that touch, and digits in pieces: where a wide thing can be parted, and which neighbours may be one digit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from edgekit.apps.digits.segment import Box, Glyph, trimmed

WIDE = 1.05
"""A thing wider than this many times its height may be several digits."""

NARROWEST, WIDEST = 0.35, 0.95
"""A digit's width over its height, when digits touch."""

SEARCH = 0.2
"""A cut is looked for this far from an even parting, as a share of a part's width."""


PIECE = 0.7
"""A stroke of a digit in pieces is at most this high, as a share of the rest of it; digits side by side are about as high."""

NEAR = 0.3
"""And at most this far from it, as a share of its height."""

TALLEST = 1.7
"""Both together are at most this many times as high."""


def may_be_several(glyph: Glyph) -> bool:
    """Whether a thing is too wide for one digit."""
    height, width = glyph.mask.shape
    return bool(width > WIDE * height)


def may_be_one(first: Glyph, second: Glyph) -> bool:
    """Whether two things are so near that they can be strokes of one digit, the smaller of which is no digit's size."""
    lower, higher = sorted((first.mask.shape[0], second.mask.shape[0]))
    box = _around(first, second)
    width, height = box[2] - box[0], box[3] - box[1]
    gaps = [max(first.box[axis], second.box[axis]) - min(first.box[axis + 2], second.box[axis + 2]) for axis in (0, 1)]
    return lower <= PIECE * higher and max(gaps) <= NEAR * higher and width <= WIDE * height and height <= TALLEST * higher


def union(first: Glyph, second: Glyph) -> Glyph:
    """Both as one thing."""
    box = _around(first, second)
    mask = np.zeros((box[3] - box[1], box[2] - box[0]), np.bool_)
    for glyph in (first, second):
        left, top = glyph.box[0] - box[0], glyph.box[1] - box[1]
        height, width = glyph.mask.shape
        mask[top : top + height, left : left + width] |= glyph.mask
    return Glyph(box, mask)


def _around(first: Glyph, second: Glyph) -> Box:
    starts = [min(first.box[axis], second.box[axis]) for axis in (0, 1)]
    ends = [max(first.box[axis], second.box[axis]) for axis in (2, 3)]
    return starts[0], starts[1], ends[0], ends[1]


def partings(glyph: Glyph) -> Iterator[list[Glyph]]:
    """Ways to cut a wide thing into two or more digits, from few to many parts, each cut where the ink is thinnest."""
    height, width = glyph.mask.shape
    for count in range(2, int(width / (NARROWEST * height)) + 1):
        if width / count <= WIDEST * height:
            parts = _cut(glyph, count)
            if len(parts) == count:
                yield parts


def _cut(glyph: Glyph, count: int) -> list[Glyph]:
    """`count` parts of nearly equal width; fewer when some would hold no ink."""
    ink = glyph.mask.sum(axis=0)
    width = len(ink) / count
    edges = [0, *(_thinnest(ink, round(width * part), width) for part in range(1, count)), len(ink)]
    parts = [_part(glyph, start, end) for start, end in pairwise(edges) if end > start]
    return [part for part in parts if part is not None]


def _thinnest(ink: np.ndarray[tuple[int], np.dtype[np.int64]], near: int, width: float) -> int:
    """The column with the least ink around `near`; of equals the nearest."""
    reach = max(1, round(SEARCH * width))
    columns = np.arange(max(1, near - reach), min(len(ink) - 1, near + reach) + 1)
    return int(min(columns, key=lambda column: (int(ink[column]), abs(int(column) - near))))


def _part(glyph: Glyph, start: int, end: int) -> Glyph | None:
    """The ink between two columns, in its own box; None when there is none."""
    mask = glyph.mask[:, start:end]
    x, (_, y1, _, y2) = glyph.box[0], glyph.box
    return trimmed(Glyph((x + start, y1, x + end, y2), mask)) if mask.any() else None
