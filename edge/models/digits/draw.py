"""Digits drawn by edgekit: a pen that follows a few curves per digit, never twice the same, always the same for a seed.

They stand in for handwriting wherever a picture must ship with the package, calibrate a conversion or test the digit app;
MNIST's own pictures are under a share-alike licence and do not ship.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""A stroke: [N, 2] of (x, y), y downwards; a digit is about one unit high."""

Ink = NDArray[np.float64]
"""[H, W] in 0..1: how much of each pixel the pen covered."""


class Style(NamedTuple):
    """One hand: how it slants, how wide it writes, how thick its pen is, how much it shakes."""

    slant: float = 0.0
    width: float = 0.62
    pen: float = 0.11
    """Width of the line, as a share of the digit's height."""
    shake: float = 0.02
    turn_degrees: float = 0.0


def some_style(rng: Random) -> Style:
    """A hand that people would still call legible."""
    return Style(
        slant=rng.uniform(-0.12, 0.3),
        width=rng.uniform(0.5, 0.75),
        pen=rng.uniform(0.08, 0.15),
        shake=rng.uniform(0.005, 0.025),
        turn_degrees=rng.uniform(-6, 6),
    )


def _line(*points: tuple[float, float]) -> Points:
    return np.array(points, dtype=np.float64)


def _arc(centre: tuple[float, float], radii: tuple[float, float], start: float, end: float) -> Points:
    """Part of an ellipse; degrees clockwise on the page, 0 = right, 90 = down."""
    angles = np.radians(np.linspace(start, end, max(6, int(abs(end - start) / 12))))
    return np.stack([centre[0] + radii[0] * np.cos(angles), centre[1] + radii[1] * np.sin(angles)], axis=1)


def _joined(*parts: Points) -> Points:
    return np.concatenate(parts)


STROKES: Mapping[int, tuple[tuple[Points, ...], ...]] = {
    0: (
        (_arc((0.5, 0.5), (0.5, 0.5), -100, 262),),
        (_arc((0.5, 0.5), (0.4, 0.5), -60, 310),),
    ),
    1: (
        (_line((0.5, 0.0), (0.5, 1.0)),),
        (_line((0.36, 0.2), (0.55, 0.0), (0.55, 1.0)),),
    ),
    2: (
        (_joined(_arc((0.5, 0.28), (0.42, 0.28), 190, 385), _line((0.08, 0.98), (1.0, 0.98))),),
        (_joined(_arc((0.48, 0.27), (0.44, 0.27), 200, 400), _line((0.45, 0.72), (0.05, 0.97), (0.5, 0.94), (1.0, 1.0))),),
    ),
    3: (
        (_joined(_arc((0.45, 0.25), (0.43, 0.25), 205, 450), _arc((0.45, 0.74), (0.5, 0.26), -90, 155)),),
        (_joined(_line((0.1, 0.02), (0.9, 0.02), (0.45, 0.4)), _arc((0.42, 0.7), (0.5, 0.3), -85, 150)),),
    ),
    4: (
        (_line((0.2, 0.0), (0.05, 0.58), (1.0, 0.58)), _line((0.72, 0.15), (0.68, 1.0))),
        (_line((0.7, 1.0), (0.7, 0.0), (0.0, 0.68), (1.0, 0.68)),),
    ),
    5: (
        (_joined(_line((0.95, 0.02), (0.22, 0.02), (0.15, 0.45)), _arc((0.43, 0.7), (0.48, 0.3), -115, 150)),),
        (
            _joined(_line((0.2, 0.03), (0.18, 0.44)), _arc((0.45, 0.69), (0.46, 0.31), -110, 155)),
            _line((0.2, 0.03), (0.98, 0.0)),
        ),
    ),
    6: (
        (_joined(_line((0.78, 0.0), (0.35, 0.3)), _arc((0.48, 0.7), (0.42, 0.3), 195, 560)),),
        (_joined(_arc((0.9, 0.62), (0.85, 0.62), 270, 190), _arc((0.48, 0.72), (0.42, 0.28), 180, 535)),),
    ),
    7: (
        (_line((0.02, 0.03), (0.95, 0.03), (0.38, 1.0)),),
        (_line((0.02, 0.05), (0.95, 0.02), (0.55, 0.5), (0.4, 1.0)), _line((0.22, 0.52), (0.86, 0.48))),
    ),
    8: (
        (_joined(_arc((0.5, 0.25), (0.38, 0.25), 90, 450), _arc((0.5, 0.75), (0.46, 0.25), -90, 270)),),
        (_joined(_arc((0.5, 0.26), (0.36, 0.26), -30, -268), _arc((0.5, 0.76), (0.42, 0.24), -95, 268), _line((0.78, 0.1))),),
    ),
    9: (
        (_joined(_arc((0.46, 0.29), (0.42, 0.29), 0, -360), _line((0.88, 0.29), (0.78, 1.0))),),
        (_joined(_arc((0.46, 0.28), (0.42, 0.28), -20, -375), _arc((0.1, 0.3), (0.78, 0.7), 0, 78)),),
    ),
}
"""Two ways to write each digit, every one a tuple of strokes in a unit square."""


def strokes(digit: int, style: Style, rng: Random) -> list[Points]:
    """The strokes of `digit` in that hand, each turn of the pen a little off; about one unit high, `style.width` wide."""
    written = []
    tilt = math.radians(style.turn_degrees)
    turn = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    for stroke in rng.choice(STROKES[digit]):
        shaken = _smooth(stroke + _shakes(len(stroke), style.shake, rng))
        x = (shaken[:, 0] - 0.5) * style.width + style.slant * (0.5 - shaken[:, 1])
        written.append(np.stack([x, shaken[:, 1] - 0.5], axis=1) @ turn)
    return written


def _shakes(count: int, amount: float, rng: Random) -> Points:
    return np.array([[rng.uniform(-amount, amount), rng.uniform(-amount, amount)] for _ in range(count)]).reshape(count, 2)


def _smooth(stroke: Points) -> Points:
    """Corners cut twice (Chaikin's algorithm), ends kept: what a pen at speed does."""
    for _ in range(2):
        if len(stroke) < 3:
            break
        cut = np.stack([0.8 * stroke[:-1] + 0.2 * stroke[1:], 0.2 * stroke[:-1] + 0.8 * stroke[1:]], axis=1).reshape(-1, 2)
        stroke = np.concatenate([stroke[:1], cut[1:-1], stroke[-1:]])
    return stroke


def ink(lines: Sequence[Points], shape: tuple[int, int], pen_px: float) -> Ink:
    """Coverage of a `shape` = (height, width) sheet by a round pen of that width along `lines` (in pixels), antialiased."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    nearest = np.full(len(pixels), np.inf)
    for line in lines:
        for start, end in pairwise(line):
            nearest = np.minimum(nearest, _distance(pixels, start, end))
    return np.clip(0.5 + pen_px / 2 - nearest, 0.0, 1.0).reshape(shape)


def _distance(pixels: Points, start: Points, end: Points) -> Points:
    """Distance of every pixel centre to the segment."""
    along = end - start
    length = float(along @ along) or 1.0
    share = np.clip((pixels - start) @ along / length, 0.0, 1.0)
    offset = pixels - start - share[:, None] * along
    return np.hypot(offset[:, 0], offset[:, 1])


def small_digit(digit: int, seed: int, style: Style | None = None) -> NDArray[np.uint8]:
    """A digit as MNIST has them, uint8 [28, 28]: white ink, fitted into 20x20, centre of mass in the middle."""
    rng = Random(f"{digit} {seed}")
    style = style or some_style(rng)
    lines = strokes(digit, style, rng)
    points = np.concatenate(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 20.0 / (float((high - low).max()) + style.pen)
    placed = [(line - (low + high) / 2) * scale + 14.0 for line in lines]
    first = ink(placed, (28, 28), style.pen * scale)
    rows, columns = np.mgrid[0:28, 0:28] + 0.5
    off = np.round(np.array([14.0 - (first * columns).sum() / first.sum(), 14.0 - (first * rows).sum() / first.sum()]))
    return np.rint(255 * ink([line + off for line in placed], (28, 28), style.pen * scale)).astype(np.uint8)


def small_digits(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` drawn digits, uint8 [count, 28, 28], and what they show, int64 [count]: 0 to 9 in turn, every hand another."""
    labels = np.arange(count) % 10
    return np.stack([small_digit(int(label), seed * 100_003 + index) for index, label in enumerate(labels)]), labels


class Sheet(NamedTuple):
    """What a number is written on, and how the camera saw it. Values are in 0..1."""

    height_px: int = 96
    """Height of the digits."""
    paper: tuple[float, float, float] = (0.93, 0.9, 0.84)
    pen: tuple[float, float, float] = (0.13, 0.16, 0.32)
    shade: float = 0.25
    """How much darker the darkest corner is."""
    noise: float = 0.02
    gap: float = 0.35
    """Room between digits, as a share of their height."""


def page(rows: Sequence[str], seed: int, sheet: Sheet = Sheet(), style: Style | None = None) -> NDArray[np.uint8]:  # noqa: B008
    """Rows of digits on a sheet of paper, uint8 RGB [H, W, 3]; spaces leave room."""
    rng = Random(seed)
    style = style or some_style(rng)
    size = sheet.height_px
    pitch = size * (style.width + sheet.gap)
    shape = (round(size * (0.8 + 1.6 * len(rows))), round(size * 0.9 + pitch * max(len(row) for row in rows)))
    covered = np.zeros(shape)
    for line, row in enumerate(rows):
        for column, character in enumerate(row):
            if character != " ":
                at = (size * 0.45 + pitch * (column + 0.5), size * (1.2 + 1.6 * line) + rng.uniform(-0.06, 0.06) * size)
                covered = np.maximum(covered, _written(int(character), at, size, shape, style, rng))
    return _photographed(covered, sheet, seed)


def _written(digit: int, at: tuple[float, float], size: int, shape: tuple[int, int], style: Style, rng: Random) -> Ink:
    """The ink of one digit with its middle at `at`, drawn only around it and placed on an empty sheet."""
    lines = [line * size for line in strokes(digit, style, rng)]
    reach = round(size * 0.75)
    left, top = round(at[0]) - reach, round(at[1]) - reach
    moved = np.array([at[0] - left, at[1] - top])
    small = ink([line + moved for line in lines], (2 * reach, 2 * reach), style.pen * size)
    sheet = np.zeros((shape[0] + 4 * reach, shape[1] + 4 * reach))
    sheet[top + 2 * reach : top + 4 * reach, left + 2 * reach : left + 4 * reach] = small
    return sheet[2 * reach : 2 * reach + shape[0], 2 * reach : 2 * reach + shape[1]]


def _photographed(covered: Ink, sheet: Sheet, seed: int) -> NDArray[np.uint8]:
    """The inked sheet under uneven light, with the camera's noise."""
    paper, pen = np.array(sheet.paper), np.array(sheet.pen)
    colours = paper + covered[..., None] * (pen - paper)
    rows, columns = np.meshgrid(*(np.linspace(0, 1, length) for length in covered.shape), indexing="ij")
    light = 1 - sheet.shade * (0.7 * columns + 0.3 * rows**2)
    noise = np.random.RandomState(seed % 2**32).standard_normal((*covered.shape, 1)) * sheet.noise
    seen: NDArray[np.uint8] = np.rint(255 * np.clip(colours * light[..., None] + noise, 0, 1)).astype(np.uint8)
    return seen
