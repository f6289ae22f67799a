"""Masks of what was found, put together from the pictures that all of them share, and brought to the size of the picture.

After Bolya et al., "YOLACT: Real-time Instance Segmentation" (ICCV 2019, arXiv 1904.02689): a mask is a sum of prototypes with the box's
own coefficients, cut off at its box; above zero (a probability of one half) is inside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.schema import Preprocess
from edgekit.tasks.decoding.head import Floats, MaskParts
from edgekit.tasks.pictures.preprocess import Placement


def assembled(
    parts: MaskParts, kept: NDArray[np.intp], boxes: Floats, preprocess: Preprocess, placement: Placement
) -> NDArray[np.bool_]:
    """[N, height, width] of the picture, for the candidates in `kept`, whose `boxes` [N, 4] are in its pixels already."""
    made = np.zeros((len(kept), placement.image_height, placement.image_width), dtype=np.bool_)
    for mask, candidate, box in zip(made, kept, boxes, strict=True):
        rows, columns, inside = cut_out(parts, int(candidate), box, preprocess, placement)
        mask[rows, columns] = inside
    return made


def cut_out(
    parts: MaskParts, candidate: int, box: NDArray[np.floating[Any]], preprocess: Preprocess, placement: Placement
) -> tuple[slice, slice, NDArray[np.bool_]]:
    """(rows, columns, mask) of one candidate in the picture, whose `box` [4] lies in its pixels."""
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    scores = np.tensordot(parts.coefficients[candidate].astype(np.float32), parts.prototypes, axes=1)
    rows = _in_grid(np.arange(top, bottom), placement.scale_y, placement.offset_y, scores.shape[0] / preprocess.height)
    columns = _in_grid(np.arange(left, right), placement.scale_x, placement.offset_x, scores.shape[1] / preprocess.width)
    return slice(top, bottom), slice(left, right), _between(_between(scores, rows).T, columns).T > 0


def _in_grid(pixels: NDArray[Any], scale: float, offset: float, share: float) -> NDArray[np.float64]:
    """Where the middles of pixels of the picture lie between the middles of the cells of a prototype."""
    return np.asarray(((pixels + 0.5) * scale + offset) * share - 0.5, np.float64)


def _between(values: Floats, places: NDArray[np.float64]) -> Floats:
    """Rows of `values` at `places` between them, in a straight line; beyond the first and the last, those."""
    inside = np.clip(places, 0, len(values) - 1)
    below = np.floor(inside).astype(int)
    share = (inside - below)[:, None].astype(np.float32)
    found: Floats = values[below] * (1 - share) + values[np.minimum(below + 1, len(values) - 1)] * share
    return found
