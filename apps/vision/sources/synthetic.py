"""A source that needs nothing: a drawn figure walks across a drawn yard, and back."""

from __future__ import annotations

from math import pi, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.core.optional import need

RATE, LENGTH_S, CROSSING_S = 10.0, 30.0, 10.0
STEPS = 0.9
"""Paces a second."""
FIGURE = (40, 60, 150)
WALL, GROUND, DOOR, WINDOW, FRAME = (158, 154, 146), (118, 117, 112), (104, 88, 72), (178, 196, 204), (132, 128, 121)


class SyntheticCapture:
    """`LENGTH_S` seconds of the same pictures every time."""

    def __init__(self, width: int = 640, height: int = 360) -> None:
        self._size, self._number = (width, height), 0
        self._yard = yard(width, height)

    def read(self) -> Frame | None:
        if self._number >= RATE * LENGTH_S:
            return None
        time_s = self._number / RATE
        picture = need("PIL.Image").fromarray(self._yard)
        walker(need("PIL.ImageDraw").Draw(picture), figure(*self._size, time_s), sin(2 * pi * STEPS * time_s))
        frame = from_rgb(np.asarray(picture), number=self._number, time_s=time_s)
        self._number += 1
        return frame

    def close(self) -> None:
        self._number = int(RATE * LENGTH_S)


def yard(width: int, height: int) -> NDArray[np.uint8]:
    """A wall with a door and two windows, the ground before it, and a camera's noise over all: [height, width, 3] uint8 RGB."""
    picture = need("PIL.Image").new("RGB", (width, height), WALL)
    canvas, floor = need("PIL.ImageDraw").Draw(picture), round(0.62 * height)
    canvas.rectangle((0, floor, width, height), fill=GROUND)
    for left, top, right, bottom, fill in (
        (0.10, 0.16, 0.24, 0.42, WINDOW),
        (0.70, 0.16, 0.84, 0.42, WINDOW),
        (0.42, 0.18, 0.54, 0.62, DOOR),
    ):
        box = (left * width, top * height, right * width, bottom * height)
        canvas.rectangle(box, fill=fill, outline=FRAME, width=max(height // 90, 1))
    noise = np.random.default_rng(1).integers(-5, 6, (height, width, 1))
    return (np.asarray(picture).astype(np.int16) + noise).clip(0, 255).astype(np.uint8)


def walker(canvas: Any, box: tuple[int, int, int, int], swing: float) -> None:
    """A person of the box's height on a Pillow canvas; `swing` -1..1 is where the legs are in their step."""
    x1, y1, x2, y2 = box
    tall, middle = y2 - y1, (x1 + x2) / 2
    head, shoulder, hip, wide = 0.075 * tall, y1 + 0.2 * tall, y1 + 0.52 * tall, 0.09 * tall
    for side in (-1, 1):
        foot, hand = middle + side * swing * 0.2 * tall, middle - side * swing * 0.17 * tall
        canvas.line((middle, hip, foot, y2), fill=FIGURE, width=max(round(0.095 * tall), 1))
        canvas.line((middle, shoulder, hand, y1 + 0.54 * tall), fill=FIGURE, width=max(round(0.06 * tall), 1))
    canvas.rounded_rectangle((middle - wide, y1 + 0.16 * tall, middle + wide, hip), radius=0.05 * tall, fill=FIGURE)
    canvas.ellipse((middle - head, y1, middle + head, y1 + 2 * head), fill=FIGURE)


def figure(width: int, height: int, time_s: float) -> tuple[int, int, int, int]:
    """Where the figure is: half the frame high, walking from one side to the other in `CROSSING_S` seconds."""
    share = time_s / CROSSING_S % 2
    share = share if share <= 1 else 2 - share
    tall, wide = height // 2, height // 6
    left, top = round(share * (width - wide)), height // 3
    return left, top, left + wide, top + tall
