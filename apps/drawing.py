"""Boxes and their labels drawn into a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.optional import need
from edgekit.tasks.detection import Detections

Color = tuple[int, int, int]

PALETTE: Sequence[Color] = (
    (255, 99, 72),
    (46, 204, 113),
    (52, 152, 219),
    (241, 196, 15),
    (155, 89, 182),
    (26, 188, 156),
    (255, 121, 198),
    (230, 126, 34),
    (144, 196, 60),
    (93, 109, 255),
)
SURE = 0.3
"""Key points less sure than this are not drawn: they are hidden, or out of the picture."""
DARK, LIGHT = (20, 20, 20), (255, 255, 255)


def draw(image: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    """A copy of `image` ([h, w, 3] uint8 RGB) with each detection framed and named, the surest on top.

    One colour for each class; lines and letters grow with the picture. Raises `MissingDependency` without Pillow.
    """
    picture = need("PIL.Image").fromarray(image)
    pen = _Pen(picture, min(image.shape[:2]))
    order = range(len(detections) - 1, -1, -1)
    for index in order:
        pen.frame(detections.boxes[index].tolist(), color_of(int(detections.class_ids[index])))
    if detections.landmarks is not None:
        for index in order:
            pen.dots(detections.landmarks[index].tolist(), LIGHT)
    if detections.keypoints is not None:
        for index in order:
            points = detections.keypoints[index]
            pen.dots(points[points[:, 2] >= SURE, :2].tolist(), color_of(int(detections.class_ids[index])))
    for index in order:
        text = f"{detections.labels[index]} {detections.scores[index]:.0%}"
        pen.plate(detections.boxes[index].tolist(), text, color_of(int(detections.class_ids[index])))
    return np.array(picture, dtype=np.uint8)


def color_of(class_id: int) -> Color:
    """The colour of a class, always the same; neighbouring ids get colours far apart."""
    return PALETTE[class_id % len(PALETTE)]


class _Pen:
    """Draws on one picture with lines and letters that fit its size."""

    def __init__(self, picture: Any, side: int) -> None:
        self._canvas = need("PIL.ImageDraw").Draw(picture)
        self._font = need("PIL.ImageFont").load_default(size=max(11, side // 30))
        self._line = max(2, side // 180)
        self._width, self._height = picture.size

    def frame(self, box: Sequence[float], color: Color) -> None:
        self._canvas.rounded_rectangle(_tidy(box), radius=2 * self._line, outline=color, width=self._line)

    def dots(self, points: Sequence[Sequence[float]], color: Color) -> None:
        for x, y in points:
            self._canvas.ellipse((x - self._line, y - self._line, x + self._line, y + self._line), fill=color)

    def plate(self, box: Sequence[float], text: str, color: Color) -> None:
        """The label on its plate: above the box where there is room, else inside at its top, never off the picture."""
        left, _, right, _ = self._canvas.textbbox((0, 0), text, font=self._font)
        _, top, _, bottom = self._canvas.textbbox((0, 0), "Ag", font=self._font)
        margin = self._line + 1
        width, height = right - left + 2 * margin, bottom - top + 2 * margin
        x = max(0, min(box[0], self._width - width))
        y = box[1] - height if box[1] >= height else max(0, min(box[1], self._height - height))
        self._canvas.rounded_rectangle((x, y, x + width, y + height), radius=self._line, fill=color)
        self._canvas.text((x + margin - left, y + margin - top), text, font=self._font, fill=_readable_on(color))


def _tidy(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Corners in order and at least a pixel apart, as Pillow wants them."""
    x1, y1, x2, y2 = box
    return x1, y1, max(x2 - 1, x1 + 1), max(y2 - 1, y1 + 1)


def _readable_on(color: Color) -> Color:
    """Dark letters on light plates and light ones on dark plates (BT.601 luma)."""
    red, green, blue = color
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else LIGHT
