"""The shapes of what was found, over a live picture: a translucent colour for each class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.drawing import PALETTE, Color, color_of
from edgekit.apps.vision.analysis.analyst import Look
from edgekit.apps.vision.privacy.masks import touched
from edgekit.apps.vision.rules.settings import Camera
from edgekit.apps.vision.segments import NOTHING
from edgekit.apps.vision.tracking.tracks import Boxes

Picture = NDArray[np.uint8]
COVER = 0.45
"""How much of a shape's pixels is its colour."""
COLORS = np.array(PALETTE, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shade:
    """An entry of the legend."""

    label: str
    color: Color


def segmented(look: Look, camera: Camera) -> Boxes | None:
    """What of a look has shapes that are shown, surest first; None where nothing has any, or none are to be shown."""
    found = look.found
    if found.segments is None or camera.segmentation == "hidden":
        return None
    sure = np.flatnonzero(found.scores >= camera.detect.min_score)
    return found.take(sure[np.argsort(-found.scores[sure], kind="stable")])


def legend(look: Look | None, camera: Camera, labels: tuple[str, ...]) -> tuple[Shade, ...]:
    """The classes whose shapes a picture of the look shows, and their colours."""
    found = None if look is None else segmented(look, camera)
    ids = [] if found is None else sorted({int(kind) for kind in found.class_ids})
    return tuple(Shade(label=labels[kind] if kind < len(labels) else f"class {kind}", color=color_of(kind)) for kind in ids)


def tinted(picture: Picture, look: Look, camera: Camera) -> Picture:
    """A copy of `picture` ([h, w, 3], the look's frame at any size) with the shapes in their classes' colours; itself where there are
    none. What a privacy mask covers stays black, whatever a network believes to be behind it."""
    found = segmented(look, camera)
    if found is None or found.segments is None or not len(found):
        return picture
    height, width = picture.shape[:2]
    boxes = found.boxes / np.array([look.frame.width, look.frame.height] * 2)
    classes = found.segments.class_map(boxes, found.class_ids, (height, width))
    for mask in camera.masks.values():
        classes[_covered(mask.points, height, width)] = NOTHING
    made: Picture = picture.copy()
    inside = classes != NOTHING
    made[inside] = picture[inside] * (1 - COVER) + COLORS[classes[inside] % len(COLORS)] * COVER
    return made


@lru_cache(maxsize=16)
def _covered(points: tuple[tuple[float, float], ...], height: int, width: int) -> NDArray[np.bool_]:
    """What a privacy mask burns into a picture of that size."""
    found = touched(points, height, width)
    found.flags.writeable = False
    return found
