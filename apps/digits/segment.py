"""Which ink belongs to which digit, and in which order the digits are read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.digits.components import Components, components

Box = tuple[int, int, int, int]
"""(x1, y1, x2, y2) in pixels; the end is outside."""

LEAST_PX = 7
"""A thing smaller than this both ways cannot be read and is taken for dust."""

LEAST_SHARE = 0.3
"""So is a thing less than this high, as a share of the usual height: dots, commas, dashes."""

STROKE_GAP = 0.2
"""Strokes of one digit lie at most this far apart, as a share of the usual height."""

TALLEST = 1.3
"""Two things are not strokes of one digit when together they would be this many times the usual height."""

SAME_ROW = 0.4
"""Neighbours in a row share at least this much of the lower one's height."""

FAINT_EDGE = 0.1
"""Pixels along an outline that differ less than this from the paper are left out."""


class Glyph(NamedTuple):
    """The ink of one digit: the box around it and its mask in that box."""

    box: Box
    mask: NDArray[np.bool_]


def glyphs(mask: NDArray[np.bool_]) -> list[Glyph]:
    """The digits in a mask of ink, row by row, each row from left to right."""
    found = components(mask)
    groups = _merged(found, _plausible(found, mask.shape))
    if not groups:
        return []
    usual = _usual_height(np.array([_around(found.boxes[group]) for group in groups]), _areas(found, groups))
    tall = [group for group in groups if _height(_around(found.boxes[group])) >= LEAST_SHARE * usual]
    return reading_order([_glyph(found, group) for group in tall])


def with_edges(glyph: Glyph, strength: NDArray[np.float32]) -> Glyph:
    """The glyph with the faint pixels along its outline, where the pen covers less than half of a pixel."""
    height, width = strength.shape
    x1, y1, x2, y2 = glyph.box
    box = (max(0, x1 - 1), max(0, y1 - 1), min(width, x2 + 1), min(height, y2 + 1))
    inside = (slice(box[1] - y1 + 1, box[3] - y1 + 1), slice(box[0] - x1 + 1, box[2] - x1 + 1))
    core = np.pad(glyph.mask, 1)
    near = core.copy()
    near[1:] |= core[:-1]
    near[:-1] |= core[1:]
    near[:, 1:], near[:, :-1] = near[:, 1:] | near[:, :-1], near[:, :-1] | near[:, 1:]
    seen = strength[box[1] : box[3], box[0] : box[2]] > FAINT_EDGE
    return trimmed(Glyph(box, core[inside] | (near[inside] & seen)))


def trimmed(glyph: Glyph) -> Glyph:
    """The glyph in the smallest box that holds its ink, of which there must be some."""
    rows, columns = np.flatnonzero(glyph.mask.any(axis=1)), np.flatnonzero(glyph.mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    x, y = glyph.box[:2]
    return Glyph((x + left, y + top, x + right, y + bottom), glyph.mask[top:bottom, left:right])


def reading_order(things: list[Glyph]) -> list[Glyph]:
    """Row by row, left to right. A row is a chain of neighbours, so lines of writing may slope."""
    rows: list[list[Glyph]] = []
    for thing in sorted(things, key=lambda glyph: glyph.box[0]):
        shares = [_shared_height(row[-1].box, thing.box) for row in rows]
        if shares and max(shares) >= SAME_ROW:
            rows[int(np.argmax(shares))].append(thing)
        else:
            rows.append([thing])
    rows.sort(key=lambda row: float(np.mean([glyph.box[1] + glyph.box[3] for glyph in row])))
    return [glyph for row in rows for glyph in row]


def _plausible(found: Components, shape: tuple[int, ...]) -> list[int]:
    """Indices of the components that may be digits or strokes of them."""
    sizes = found.boxes[:, 2:] - found.boxes[:, :2]
    large = sizes.max(axis=1, initial=0) >= LEAST_PX
    if not large.any():
        return []
    usual = _usual_height(found.boxes[large], found.areas[large])
    kept = [index for index in np.flatnonzero(sizes.max(axis=1) >= 0.1 * usual) if found.areas[index] > 2]
    inside = [int(index) for index in kept if not _is_surround(found.boxes[index], shape)]
    digit_like = any(sizes[index].max() >= LEAST_PX for index in inside)
    return inside if digit_like else [int(index) for index in kept]


def _is_surround(box: NDArray[np.int64], shape: tuple[int, ...]) -> bool:
    """Whether a thing runs along a side of the picture: a shadow, the table under the paper, a frame."""
    height, width = shape
    x1, y1, x2, y2 = (int(value) for value in box)
    across, down = (x2 - x1) > 0.6 * width, (y2 - y1) > 0.6 * height
    return (across and (y1 == 0 or y2 == height)) or (down and (x1 == 0 or x2 == width))


def _usual_height(boxes: NDArray[np.int64], areas: NDArray[np.int64]) -> float:
    """The height that half of the ink is in things of at most."""
    heights = boxes[:, 3] - boxes[:, 1]
    order = np.argsort(heights, kind="stable")
    half = np.searchsorted(np.cumsum(areas[order]), areas.sum() / 2)
    return float(heights[order][half])


def _merged(found: Components, kept: list[int]) -> list[list[int]]:
    """Components put together where they are strokes of one digit, the nearest first."""
    if not kept:
        return []
    usual = _usual_height(found.boxes[kept], found.areas[kept])
    groups = [[index] for index in sorted(kept, key=lambda index: -int(found.areas[index]))]
    whole: list[list[int]] = []
    for group in groups:
        box = _around(found.boxes[group])
        gaps = [_stroke_gap(_around(found.boxes[other]), box, usual) for other in whole]
        nearest = int(np.argmin(gaps)) if gaps else -1
        if gaps and gaps[nearest] <= STROKE_GAP * usual:
            whole[nearest] = whole[nearest] + group
        else:
            whole.append(group)
    return whole


def _stroke_gap(a: Box, b: Box, usual: float) -> float:
    """How far apart two things are if they can be strokes of one digit, one above or inside the other; else infinite."""
    shared = min(a[2], b[2]) - max(a[0], b[0])
    if shared < 0.6 * min(a[2] - a[0], b[2] - b[0]):
        return float("inf")
    if max(a[3], b[3]) - min(a[1], b[1]) > TALLEST * usual:
        return float("inf")
    return float(max(0, max(a[1], b[1]) - min(a[3], b[3])))


def _shared_height(a: Box, b: Box) -> float:
    """The height two boxes share, as a part of the lower one's."""
    return (min(a[3], b[3]) - max(a[1], b[1])) / min(_height(a), _height(b))


def _around(boxes: NDArray[np.int64]) -> Box:
    """The box around boxes [N, 4]."""
    x1, y1 = boxes[:, :2].min(axis=0)
    x2, y2 = boxes[:, 2:].max(axis=0)
    return int(x1), int(y1), int(x2), int(y2)


def _areas(found: Components, groups: list[list[int]]) -> NDArray[np.int64]:
    return np.array([found.areas[group].sum() for group in groups])


def _height(box: Box) -> int:
    return box[3] - box[1]


def _glyph(found: Components, group: list[int]) -> Glyph:
    """The ink of a group of components."""
    box = _around(found.boxes[group])
    return Glyph(box, np.isin(found.labels[box[1] : box[3], box[0] : box[2]], np.array(group) + 1))
