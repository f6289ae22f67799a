"""A digit as MNIST has it: fitted into 20x20, its centre of mass in the middle of 28x28, drawn with a pen of its width.

Source of the first two: LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist. The pen is ours: a fine pen on a large
sheet all but vanishes when the digit is scaled down to 20 pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SIDE, FITTED = 28, 20
FINEST_PEN = 2.1
"""Width of the line in the fitted digit, in pixels, below which it is drawn thicker (MNIST: 5 % are finer)."""


def normalised(strength: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The digit in a box, `strength` [h, w] in 0..1 where `mask` [h, w] is true, as float32 [28, 28] in 0..1."""
    scale = FITTED / max(mask.shape)
    level = float(np.quantile(strength[mask], 0.75))
    drawn = np.where(mask, np.minimum(strength / level, 1), 0).astype(np.float32)
    wider = (FINEST_PEN - pen_width(mask) * scale) / (2 * scale)
    drawn = thicker(drawn, round(wider)) if wider >= 0.5 else drawn
    scale = FITTED / max(drawn.shape)
    fitted = _resized(drawn, max(1, round(drawn.shape[0] * scale)), max(1, round(drawn.shape[1] * scale)))
    return centred(fitted / max(float(fitted.max()), 1e-6))


def pen_width(mask: NDArray[np.bool_]) -> float:
    """The usual width of the lines in a mask: twice its area over its outline, which is a pen's width for any long line."""
    padded = np.pad(mask, 1)
    steps = np.count_nonzero(padded[1:] != padded[:-1]) + np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    outline = steps * math.pi / 4
    return float(2 * np.count_nonzero(mask) / outline)


def thicker(drawn: Floats, pixels: int) -> Floats:
    """Lines wider by `pixels` on each side (an octagon's largest value); the sheet grows by as much."""
    wide = np.pad(drawn, pixels)
    for step in range(pixels):
        around = np.pad(wide, 1)
        cross = [around[1:-1, 1:-1], around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]
        corners = [around[:-2, :-2], around[:-2, 2:], around[2:, :-2], around[2:, 2:]]
        wide = np.maximum.reduce(cross + corners if step % 2 else cross)
    return wide


def centred(fitted: Floats) -> Floats:
    """`fitted` [h, w], at most 20 high and wide, on 28x28 with its centre of mass at (14, 14), as far as it fits."""
    height, width = fitted.shape
    total = float(fitted.sum())
    row = float((fitted.sum(axis=1) * np.arange(height)).sum()) / total
    column = float((fitted.sum(axis=0) * np.arange(width)).sum()) / total
    top = min(max(round(SIDE / 2 - row), 0), SIDE - height)
    left = min(max(round(SIDE / 2 - column), 0), SIDE - width)
    sheet = np.zeros((SIDE, SIDE), np.float32)
    sheet[top : top + height, left : left + width] = fitted
    return sheet


def _resized(image: Floats, height: int, width: int) -> Floats:
    """Antialiased: every new pixel is a weighted mean (a triangle filter) of the old ones it covers."""
    if image.shape == (height, width):
        return image
    resized: Floats = _weights(image.shape[0], height) @ image @ _weights(image.shape[1], width).T
    return resized


def _weights(size: int, wanted: int) -> Floats:
    """[wanted, size]: each row says how much of each old pixel goes into a new one; rows sum to 1."""
    step = size / wanted
    reach = max(step, 1.0)
    centres = (np.arange(wanted) + 0.5) * step
    near = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - centres[:, None]) / reach)
    weights: Floats = (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights
