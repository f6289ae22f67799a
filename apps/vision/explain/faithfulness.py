"""What a map is worth: take away the hottest places first and certainty should fall fast, show them first and it should rise fast.

Deletion and insertion (Petsiuk et al., "RISE", arXiv:1806.07421) as areas under the curve of certainty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgekit.apps.vision.analysis.analyst import Finds
from edgekit.apps.vision.explain.asking import Asking, Map, enlarged, grey_of, kept
from edgekit.apps.vision.frames import Frame, Plane
from edgekit.apps.vision.tracking.tracks import Boxes

STEPS = 16


class Faithfulness(NamedTuple):
    """Mean certainty while the hottest is removed (lower is better) and while it is shown (higher is better)."""

    deletion: float
    insertion: float


def faithfulness(detector: Finds, frame: Frame, detection: Boxes, heat: Map, steps: int = STEPS) -> Faithfulness:
    """Both areas for a map [H, W] of the frame, from `2 * steps` calls of the detector."""
    asking = Asking(detector, frame, detection, until_s=np.inf)
    return areas(asking.certainty, asking.picture, heat, steps)


def areas(certainty: Callable[[Plane], float], picture: Plane, heat: Map, steps: int = STEPS) -> Faithfulness:
    """Both areas for a map of the picture ([h, w, 3] uint8, at any size), of whatever is so certain of pictures of that size."""
    height, width = picture.shape[:2]
    order = np.argsort(-enlarged(heat, height, width), axis=None, kind="stable")
    grey, deletion, insertion = grey_of(picture), [], []
    for step in range(steps):
        hottest = np.zeros(height * width, np.float32)
        hottest[order[: len(order) * (step + 1) // (steps + 1)]] = 1
        mask = hottest.reshape(height, width)
        deletion.append(certainty(kept(picture, grey, 1 - mask)))
        insertion.append(certainty(kept(picture, grey, mask)))
    return Faithfulness(float(np.mean(deletion)), float(np.mean(insertion)))
