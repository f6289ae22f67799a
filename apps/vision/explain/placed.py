"""A map of what a network was shown, laid over the picture that it was shown of."""

from __future__ import annotations

from edgekit.apps.vision.explain.asking import Map, enlarged
from edgekit.tasks.pictures.preprocess import Placement


def placed(heat: Map, size: tuple[int, int], placement: Placement) -> Map:
    """The map of the network's input at the picture's size, without what was padded."""
    whole = enlarged(heat, *size)
    top, left = round(placement.offset_y), round(placement.offset_x)
    bottom = max(round(placement.offset_y + placement.image_height * placement.scale_y), top + 1)
    right = max(round(placement.offset_x + placement.image_width * placement.scale_x), left + 1)
    return enlarged(whole[top:bottom, left:right], placement.image_height, placement.image_width)
