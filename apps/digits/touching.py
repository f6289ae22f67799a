"""Digits that touch: where a wide thing can be parted so that each part is about as wide as a digit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from edgekit.apps.digits.segment import Glyph, trimmed

WIDE = 1.05
"""A thing wider than this many times its height may be several digits."""

NARROWEST, WIDEST = 0.35, 0.95
"""A digit's width over its height, when digits touch."""

SEARCH = 0.2
"""A cut is looked for this far from an even parting, as a share of a part's width."""


def may_be_several(glyph: Glyph) -> bool:
    """Whether a thing is too wide for one digit."""
    height, width = glyph.mask.shape
    return bool(width > WIDE * height)


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
