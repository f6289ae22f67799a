"""D-RISE (Petsiuk et al., "Black-box Explanation of Object Detectors via Saliency Maps", arXiv:2006.03204): random masks, each counted
by how sure the detector still is of the detection behind it."""

from __future__ import annotations

import numpy as np

from edgekit.apps.vision.explain.asking import Asking, Map, enlarged

MASKS = 600
CELLS = 12
"""Of a mask along the longer side of what it hides; a cell is shown by this chance."""
SHOWN = 0.5


def mask_map(asking: Asking, masks: int = MASKS) -> Map:
    """Mean certainty of the masks that show a pixel, less that of all masks: float32 [h, w]."""
    height, width = asking.picture.shape[:2]
    chance = np.random.default_rng(0)
    credit, shown = np.zeros((height, width), np.float64), np.full((height, width), 1e-9)
    certain = 0.0
    for _ in range(masks):
        if not asking.may_go_on():
            break
        mask = _mask(chance, height, width)
        certainty = asking.certainty(asking.kept(mask))
        credit, shown, certain = credit + certainty * mask, shown + mask, certain + certainty
    mean: Map = (credit / shown - certain / max(asking.calls, 1)).astype(np.float32)
    return mean


def _mask(chance: np.random.Generator, height: int, width: int) -> Map:
    """A coarse random grid, enlarged without steps and shifted by part of a cell."""
    edge = max(height, width) / CELLS
    rows, columns = int(np.ceil(height / edge)) + 1, int(np.ceil(width / edge)) + 1
    coarse = (chance.random((rows, columns)) < SHOWN).astype(np.float32)
    whole = enlarged(coarse, round(rows * edge), round(columns * edge))
    top = int(chance.integers(0, max(whole.shape[0] - height, 0) + 1))
    left = int(chance.integers(0, max(whole.shape[1] - width, 0) + 1))
    return whole[top : top + height, left : left + width]
