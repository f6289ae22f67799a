"""The class-score map of a dense head: where the cells are that proposed this very box, and how sure each was."""

from __future__ import annotations

import numpy as np

from edgekit.apps.vision.explain.asking import Map, enlarged, scaled
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.networks.detector import CellScores
from edgekit.apps.vision.tracking.assign import overlaps
from edgekit.apps.vision.tracking.tracks import Boxes

COLUMNS = 160
"""Of the small map on which cells are drawn."""


def cell_map(found: CellScores, frame: Frame, detection: Boxes) -> Map:
    """float32 [H, W] in 0..1: every cell's place with its score, times how well its box agrees with the detection."""
    same = np.zeros(len(found.scores), np.int64)
    votes = found.scores * overlaps(detection.boxes, found.boxes, np.zeros(1, np.int64), same)[0]
    rows = max(round(COLUMNS * frame.height / frame.width), 1)
    small = np.zeros((rows, COLUMNS), np.float32)
    places = found.squares * np.array([COLUMNS / frame.width, rows / frame.height] * 2)
    for index in np.flatnonzero(votes > votes.max(initial=0.0) / 100):
        left, top, right, bottom = places[index]
        window = (slice(int(top), max(int(np.ceil(bottom)), 1)), slice(int(left), max(int(np.ceil(right)), 1)))
        small[window] = np.maximum(small[window], np.float32(votes[index]))
    return enlarged(scaled(small), frame.height, frame.width)
