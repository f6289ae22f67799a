"""Occlusion (Zeiler and Fergus, 2014): cover one place after another and see by how much the detection suffers.

Places are tiles of a quarter of the box, overlapping by half, in and around it; then larger ones over the rest of the picture. They come in
a shuffled order, so that a stopped map is coarse, not one-sided.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.explain.asking import Asking, Map

PARTS = 4
AROUND = 0.5
"""How far around the box the small tiles go, as a share of it."""
FAR = 5
"""Tiles along each side of the whole picture."""


def occlusion_map(asking: Asking) -> Map:
    """How much certainty each pixel of `asking.picture` takes with it when it is covered: float32 [h, w]."""
    height, width = asking.picture.shape[:2]
    whole = asking.certainty(asking.picture)
    votes, times = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for left, top, right, bottom in _tiles(asking.box, height, width):
        if not asking.may_go_on():
            break
        window = (slice(top, bottom), slice(left, right))
        covered = asking.picture.copy()
        covered[window] = asking.grey
        votes[window] += whole - asking.certainty(covered)
        times[window] += 1
    return (votes / np.maximum(times, 1)).astype(np.float32)


def _tiles(box: NDArray[np.float64], height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Left, top, right and bottom of every tile, shuffled, cut to the picture."""
    size = np.maximum(box[2:] - box[:2], 8.0)
    near = _grid(box[:2] - AROUND * size, box[2:] + AROUND * size, np.maximum(size / PARTS, 4.0))
    far = _grid(np.zeros(2), np.array([width, height], np.float64), np.array([width, height]) / FAR)
    tiles = np.concatenate([near, far]).round().astype(int)
    tiles = np.clip(tiles, 0, [width, height, width, height])
    tiles = tiles[(tiles[:, 2] > tiles[:, 0]) & (tiles[:, 3] > tiles[:, 1])]
    shuffled = np.random.default_rng(0).permutation(tiles)
    return [(int(left), int(top), int(right), int(bottom)) for left, top, right, bottom in shuffled]


def _grid(first: NDArray[np.float64], last: NDArray[np.float64], tile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tiles [N, 4] from corner to corner, half a tile apart."""
    columns, rows = (np.arange(low, high - edge / 4, edge / 2) for low, high, edge in zip(first, last, tile, strict=True))
    lefts, tops = (axis.ravel() for axis in np.meshgrid(columns, rows))
    return np.stack([lefts, tops, lefts + tile[0], tops + tile[1]], axis=1)
