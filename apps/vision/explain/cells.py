"""The class-score map of a dense head: where the cells are that proposed this very box, and how sure each was.

A cell looks at more than its own square, about as much as the thing that it proposes is large: its score is spread about it by the sides of
its box. Drawn as the squares alone, a head of several resolutions showed the middle of a thing, and the map was no more faithful
than chance by insertion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.explain.asking import Map, enlarged, scaled
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.networks.detector import CellScores
from edgekit.apps.vision.tracking.assign import overlaps
from edgekit.apps.vision.tracking.tracks import Boxes

COLUMNS = 160
"""Of the small map on which cells are drawn."""
SPREAD = 0.25
"""Standard deviation of a score about its cell, as a share of the box's sides: the edges of a box about the cell are two of them away."""
FAINTEST = 0.01
"""Cells with less than this share of the surest one's vote are not drawn."""


def cell_map(found: CellScores, frame: Frame, detection: Boxes) -> Map:
    """float32 [H, W] in 0..1: every cell's score, times how well its box agrees with the detection, about the cell's place."""
    same = np.zeros(len(found.scores), np.int64)
    votes = found.scores * overlaps(detection.boxes, found.boxes, np.zeros(1, np.int64), same)[0]
    rows = max(round(COLUMNS * frame.height / frame.width), 1)
    small = np.zeros((rows, COLUMNS), np.float32)
    to_map = np.array([COLUMNS / frame.width, rows / frame.height])
    for index in np.flatnonzero(votes > votes.max(initial=0.0) * FAINTEST):
        square, box = (corners[index].reshape(2, 2) * to_map for corners in (found.squares, found.boxes))
        (x, y), (width, height) = square.mean(axis=0), box[1] - box[0]
        bell = np.outer(_about(rows, y, height), _about(COLUMNS, x, width))
        small = np.maximum(small, (votes[index] * bell).astype(np.float32))
    return enlarged(scaled(small), frame.height, frame.width)


def _about(size: int, middle: float, side: float) -> NDArray[np.float64]:
    """A bell over `size` pixels, 1 at the middle."""
    away = (np.arange(size) + 0.5 - middle) / (SPREAD * max(side, 1.0))
    return np.asarray(np.exp(-0.5 * np.square(away)))
