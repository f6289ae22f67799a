"""Where the ink is: how far each pixel differs from the paper around it, whichever of the two is the darker one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SMALL_PX = 64
"""Pictures with a side below this are taken as evenly lit: they are crops, not photographs."""

DENOISE_PX = 160
TILES = 10
CLOSED = 2
"""Ink that fills up to twice as many neighbouring tiles is still ink: a thick pen in a small picture."""

PAPER_SHARE = 0.7
"""In a tile of paper and ink, the pixel that this share of the others is darker than is paper."""

STEEPEST_LIGHT = 0.35
"""Light changes at most by this share from one tile to the next at the picture's edge; more is ink."""

NOISE_SIGMAS = 5.0
FAINTEST = 0.08
"""Ink that differs less than this from the paper (1 = black on white) is not seen."""


class Inked(NamedTuple):
    """`strength` float32 [H, W] in 0..1: 0 is paper; `mask` [H, W]: where it is ink; `light_ink`: chalk on a board."""

    strength: Floats
    mask: NDArray[np.bool_]
    light_ink: bool


def find_ink(image: NDArray[np.uint8]) -> Inked:
    """The ink of a picture, uint8 RGB [H, W, 3]. A picture without ink has an empty mask."""
    gray = image.astype(np.float32) @ LUMA / np.float32(255)
    if min(gray.shape) >= DENOISE_PX:
        gray = median3(gray)
    light_ink = _is_light(gray)
    dark = 1 - gray if light_ink else gray
    paper = np.maximum(paper_level(dark), 0.05)
    strength = 1 - dark / paper
    floor = max(FAINTEST, NOISE_SIGMAS * noise(strength))
    strength = np.clip(strength, 0, 1)
    seen = np.where(strength > floor, strength, 0)
    return Inked(strength, seen > max(otsu(seen), floor), light_ink)


def median3(gray: Floats) -> Floats:
    """The median of every 3x3 neighbourhood (edges repeated), by sorting networks on whole pictures."""
    padded = np.pad(gray, 1, mode="edge")
    height, width = gray.shape
    low, middle, high = _sorted3(*(padded[:, at : at + width] for at in range(3)))
    lows, middles, highs = ([part[at : at + height] for at in range(3)] for part in (low, middle, high))
    return _sorted3(np.maximum.reduce(lows), _sorted3(*middles)[1], np.minimum.reduce(highs))[1]


def _sorted3(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
    """Three pictures sorted pixel by pixel."""
    a, b = np.minimum(a, b), np.maximum(a, b)
    b, c = np.minimum(b, c), np.maximum(b, c)
    a, b = np.minimum(a, b), np.maximum(a, b)
    return a, b, c


def _is_light(gray: Floats) -> bool:
    """Whether the ink is lighter than the paper: ink is the rare side, so it gives the differences their skew."""
    difference = gray - (np.median(gray) if min(gray.shape) < SMALL_PX else _spread(_plane(_tiled(gray, 0.5)), gray.shape))
    return float((difference.astype(np.float64) ** 3).sum()) > 0


def _plane(tiles: Floats) -> Floats:
    """The plane that is nearest to the tiles: it follows the light across the picture, but not a thick pen's strokes."""
    rows, columns = np.indices(tiles.shape)
    terms = np.stack([np.ones(tiles.size), rows.ravel(), columns.ravel()], axis=1)
    found = terms @ np.linalg.lstsq(terms, tiles.ravel(), rcond=None)[0]
    return np.asarray(found.reshape(tiles.shape), np.float32)


def paper_level(dark: Floats) -> Floats:
    """The brightness of the bare paper at every pixel, [H, W], where ink is darker than paper."""
    if min(dark.shape) < SMALL_PX:
        return np.full(dark.shape, np.quantile(dark, PAPER_SHARE), np.float32)
    tiles = _tiled(dark, PAPER_SHARE)
    for _ in range(1 + CLOSED):
        tiles = _continued(tiles)
    for _ in range(CLOSED):
        tiles = _largest_around(tiles)
    for _ in range(CLOSED):
        tiles = -_largest_around(-tiles)
    return _spread(tiles[CLOSED:-CLOSED, CLOSED:-CLOSED], dark.shape, rings=1)


def _continued(tiles: Floats) -> Floats:
    """`tiles` with a ring around them: the slope goes on where it is the light's, the last tile where it must be ink's."""
    for axis in (0, 1):
        tiles = np.moveaxis(tiles, axis, 0)
        second = [tiles[min(1, len(tiles) - 1)], tiles[max(-2, -len(tiles))]]
        ends = [_one_on(end, before) for end, before in zip((tiles[0], tiles[-1]), second, strict=True)]
        tiles = np.moveaxis(np.concatenate([ends[0][None], tiles, ends[1][None]]), 0, axis)
    return tiles


def _one_on(end: Floats, before: Floats) -> Floats:
    """The value that follows `before`, `end`."""
    slope = end - before
    gentle = np.abs(slope) <= STEEPEST_LIGHT * np.maximum(end, before)
    return np.where(gentle, np.maximum(end + slope, end / 2), end).astype(np.float32)


def _tiled(gray: Floats, share: float) -> Floats:
    """The `share` quantile of about `TILES` tiles along the shorter side."""
    tile = max(8, min(gray.shape) // TILES)
    rows, columns = (max(1, size // tile) for size in gray.shape)
    tiles = np.empty((rows, columns), np.float32)
    for row, down, height in _shared_out(gray.shape[0], rows):
        for column, across, width in _shared_out(gray.shape[1], columns):
            block = gray[down, across].reshape(row.stop - row.start, height, column.stop - column.start, width)
            tiles[row, column] = np.quantile(block.swapaxes(1, 2), share, axis=(2, 3))
    return tiles


def _shared_out(pixels: int, tiles: int) -> list[tuple[slice, slice, int]]:
    """`pixels` in a row shared out among `tiles`: those that get one more and those that do not, each with their pixels."""
    short, longer = divmod(pixels, tiles)
    edge = longer * (short + 1)
    groups = [(slice(0, longer), slice(0, edge), short + 1), (slice(longer, tiles), slice(edge, pixels), short)]
    return [group for group in groups if group[0].stop > group[0].start]


def _largest_around(tiles: Floats) -> Floats:
    """The largest value of every 3x3 neighbourhood."""
    padded = np.pad(tiles, 1, mode="edge")
    height, width = tiles.shape
    shifted = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    largest: Floats = np.maximum.reduce(shifted)
    return largest


def _spread(tiles: Floats, shape: tuple[int, ...], rings: int = 0) -> Floats:
    """The tiles, `rings` of which lie outside on every side, as a smooth surface of that shape (linear between centres)."""
    down = _between(tiles.shape[0], shape[0], rings)
    across = _between(tiles.shape[1], shape[1], rings)
    surface: Floats = down @ tiles @ across.T
    return surface


def _between(tiles: int, pixels: int, rings: int) -> Floats:
    """[pixels, tiles]: how much of each tile goes into a pixel; two neighbours share each pixel by distance."""
    step = pixels / (tiles - 2 * rings)
    place = np.clip((np.arange(pixels) + 0.5) / step - 0.5 + rings, 0, tiles - 1)
    weights: Floats = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(tiles))).astype(np.float32)
    return weights


def noise(strength: Floats) -> float:
    """The standard deviation of the bare paper, from the median deviation, which a little ink does not move."""
    return 1.4826 * float(np.median(np.abs(strength - np.median(strength))))


def otsu(values: Floats) -> float:
    """The threshold that parts `values` (0..1) into the two most distinct classes (Otsu, 1979)."""
    counts, edges = np.histogram(values, bins=256, range=(0.0, 1.0))
    middles = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * middles)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1 + int(np.nanargmax(np.where(above > 0, between, -1.0)))])
