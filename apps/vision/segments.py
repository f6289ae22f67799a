"""The shapes of what a segmenting detector found, kept as what they are put together from: they become pixels when somebody looks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.schema import Preprocess
from edgekit.tasks.decoding.head import MaskParts
from edgekit.tasks.decoding.masks import cut_out
from edgekit.tasks.pictures.preprocess import Placement

NOTHING = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """What the masks of N detections are put together from, and how the picture lay in the network's input."""

    parts: MaskParts
    preprocess: Preprocess
    placement: Placement

    def take(self, rows: NDArray[Any]) -> Segments:
        """Those of the given rows."""
        return replace(self, parts=replace(self.parts, coefficients=self.parts.coefficients[rows]))

    def class_map(
        self, boxes: NDArray[np.floating[Any]], class_ids: NDArray[np.int64], size: tuple[int, int]
    ) -> NDArray[np.int64]:
        """[height, width] of `size`: the class of every pixel, `NOTHING` where there is none; of two the earlier row lies on top.

        `boxes` [N, 4] are in shares of the picture, which `size` may show larger or smaller than the network saw it.
        """
        height, width = size
        place = self.placement
        shown = replace(
            place,
            image_width=width,
            image_height=height,
            scale_x=place.scale_x * place.image_width / width,
            scale_y=place.scale_y * place.image_height / height,
        )
        found = np.full(size, NOTHING, np.int64)
        edges = np.clip(boxes, 0, 1) * [width, height, width, height]
        for row in range(len(edges) - 1, -1, -1):
            rows, columns, inside = cut_out(self.parts, row, edges[row], self.preprocess, shown)
            found[rows, columns][inside] = class_ids[row]
        return found
