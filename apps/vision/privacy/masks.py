"""Masks, burned into a frame where it enters: nothing behind this place ever has the pixels.

A frame is painted in a copy of its own planes, since a decoder goes on using its. Every pixel that a mask touches is painted,
and every pair of colour differences that belongs to one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.frames import PLANAR, Frame
from edgekit.apps.vision.privacy.settings import Mask
from edgekit.apps.vision.rules.places import Point, inside
from edgekit.apps.vision.sources.base import Capture
from edgekit.core.optional import need

Covered = NDArray[np.bool_]
BLACK, NO_COLOR = 16, 128
BESIDE = 0.75
"""Pixels: a mask covers what its edge comes so near to, half a pixel's diagonal and something for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cover:
    """What is painted in frames of one size: pixels, and the half as many rows and columns of colour differences."""

    luma: Covered
    chroma: Covered


class MaskedCapture:
    """A capture whose frames come with the masks burned in."""

    def __init__(self, capture: Capture, masks: Mapping[str, Mask]) -> None:
        self._capture, self._polygons = capture, tuple(mask.points for mask in masks.values())
        self._covers: dict[tuple[int, int], _Cover] = {}

    def read(self) -> Frame | None:
        frame = self._capture.read()
        return None if frame is None else self._masked(frame)

    def close(self) -> None:
        self._capture.close()

    def _masked(self, frame: Frame) -> Frame:
        size = (frame.height, frame.width)
        if size not in self._covers:
            self._covers = {size: _cover(self._polygons, *size)}
        return painted(frame, self._covers[size])


def painted(frame: Frame, cover: _Cover) -> Frame:
    """A copy of the frame with black where it is covered."""
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    planes = frame.planes
    if even and planes.format.name not in PLANAR:
        planes = planes.reformat(format="yuv420p")
    rows = _yuv(planes.to_ndarray(), cover) if even else _rgb(frame.rgb(), cover)
    copy = need("av").VideoFrame.from_ndarray(rows, format=planes.format.name if even else "rgb24")
    if even:
        copy.color_range, copy.colorspace = planes.color_range, planes.colorspace
    return replace(frame, planes=copy)


def _yuv(rows: NDArray[np.uint8], cover: _Cover) -> NDArray[np.uint8]:
    """The planes one below the other, as PyAV gives them: a fresh array."""
    height = cover.luma.shape[0]
    rows[:height][cover.luma] = BLACK
    rows[height:].reshape(2, *cover.chroma.shape)[:, cover.chroma] = NO_COLOR
    return rows


def _rgb(image: NDArray[np.uint8], cover: _Cover) -> NDArray[np.uint8]:
    image = image.copy()
    image[cover.luma] = 0
    return image


def _cover(polygons: Sequence[tuple[Point, ...]], height: int, width: int) -> _Cover:
    luma = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        luma |= touched(polygon, height, width)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    whole = np.zeros((rows * 2, columns * 2), np.bool_)
    whole[:height, :width] = luma
    chroma: Covered = np.asarray(whole.reshape(rows, 2, columns, 2).any(axis=(1, 3)))
    return _Cover(luma=luma, chroma=chroma)


def touched(polygon: tuple[Point, ...], height: int, width: int) -> Covered:
    """[height, width]: pixels whose middle lies in the polygon, or so near to its edge that they may reach into it."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    middles = np.stack([x.ravel() / width, y.ravel() / height], axis=1)
    found = inside(middles, polygon).reshape(height, width)
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        found |= _near(x, y, (x1 * width, y1 * height), (x2 * width, y2 * height))
    return found


def _near(x: NDArray[np.float64], y: NDArray[np.float64], start: Point, end: Point) -> Covered:
    """Which points lie within `BESIDE` of the stretch from `start` to `end`."""
    along = np.subtract(end, start)
    length = max(float(along @ along), 1e-12)
    share = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length, 0.0, 1.0)
    off = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    near: Covered = off <= BESIDE
    return near
