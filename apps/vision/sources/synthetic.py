"""A source that needs nothing: a figure of a person's proportions walks across a grey yard, and back."""

from __future__ import annotations

import numpy as np

from edgekit.apps.vision.frames import Frame, from_rgb

RATE, LENGTH_S, CROSSING_S = 10.0, 30.0, 10.0
GROUND, FIGURE = 110, (40, 60, 150)


class SyntheticCapture:
    """`LENGTH_S` seconds of the same pictures every time."""

    def __init__(self, width: int = 640, height: int = 360) -> None:
        self._size, self._number = (width, height), 0
        self._ground = np.random.default_rng(1).integers(GROUND - 6, GROUND + 6, (height, width, 1), np.uint8).repeat(3, axis=2)

    def read(self) -> Frame | None:
        if self._number >= RATE * LENGTH_S:
            return None
        time_s = self._number / RATE
        image = self._ground.copy()
        x1, y1, x2, y2 = figure(*self._size, time_s)
        image[y1:y2, x1:x2] = FIGURE
        frame = from_rgb(image, number=self._number, time_s=time_s)
        self._number += 1
        return frame

    def close(self) -> None:
        self._number = int(RATE * LENGTH_S)


def figure(width: int, height: int, time_s: float) -> tuple[int, int, int, int]:
    """Where the figure is: half the frame high, walking from one side to the other in `CROSSING_S` seconds."""
    share = time_s / CROSSING_S % 2
    share = share if share <= 1 else 2 - share
    tall, wide = height // 2, height // 6
    left, top = round(share * (width - wide)), height // 3
    return left, top, left + wide, top + tall
