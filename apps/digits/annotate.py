"""The picture with a box around every digit and the digit that was read above it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.digits.reader import Digit
from edgekit.core.optional import need

SURE, UNSURE = (11, 98, 214), (214, 90, 11)
UNSURE_BELOW = 0.8
"""A calibrated score below this asks a person to look."""
LEAST_SIDE = 360
"""Smaller pictures are enlarged, or their labels could not be read."""


def annotated(image: NDArray[np.uint8], digits: Sequence[Digit], *, unsure: Collection[Digit] = ()) -> NDArray[np.uint8]:
    """A copy of `image`, uint8 RGB [H, W, 3], with the digits drawn in; small pictures come back enlarged.

    `unsure` are those to be marked as such whatever their score.
    """
    zoom = max(1, round(LEAST_SIDE / max(image.shape[:2])))
    canvas = need("PIL.Image").fromarray(image.repeat(zoom, axis=0).repeat(zoom, axis=1))
    draw = need("PIL.ImageDraw").Draw(canvas)
    line = max(2, round(max(canvas.size) / 500))
    for digit in digits:
        x1, y1, x2, y2 = (zoom * edge for edge in digit.box)
        doubtful = digit in unsure or digit.score < UNSURE_BELOW
        color = UNSURE if doubtful else SURE
        draw.rectangle((x1 - line, y1 - line, x2 + line - 1, y2 + line - 1), outline=color, width=line)
        size = min(max(14, (y2 - y1) // 3), max(canvas.size) // 6)
        font = need("PIL.ImageFont").load_default(size=size)
        label = f"{digit.digit}{'?' if doubtful else ''}"
        draw.text((x1, max(0, y1 - 2 * line - 1.2 * size)), label, fill=color, font=font)
    return np.array(canvas, dtype=np.uint8)
