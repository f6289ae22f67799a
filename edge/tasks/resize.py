"""Bilinear resizing as the reference pre-processing of most detectors does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resize_bilinear(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """`image` [h, w, c] at [height, width, c]: four nearest pixels, half-pixel centres, edges repeated, no antialiasing.

    This is OpenCV's INTER_LINEAR (which computes in fixed point: values differ by at most 1).
    """
    if image.shape[:2] == (height, width):
        return image
    above, below, down = _taps(image.shape[0], height)
    left, right, across = _taps(image.shape[1], width)
    rows = np.ascontiguousarray(image).reshape(image.shape[0], -1)
    columns = _Columns(left, right, across, image.shape[2])
    upper, lower = columns.of(rows[above]), columns.of(rows[below])
    lower -= upper
    lower *= down[:, None]
    lower += upper
    lower += 0.5
    return lower.astype(np.uint8).reshape(height, width, image.shape[2])


class _Columns:
    """Blends columns of rows that were flattened to [height, width * channels]: plain takes are several times faster."""

    def __init__(self, left: NDArray[np.intp], right: NDArray[np.intp], share: NDArray[np.float32], channels: int) -> None:
        self._left, self._right = _interleaved(left, channels), _interleaved(right, channels)
        self._share = np.repeat(share, channels)

    def of(self, rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        left = np.take(rows, self._left, axis=1).astype(np.float32)
        blend = np.take(rows, self._right, axis=1).astype(np.float32)
        blend -= left
        blend *= self._share
        blend += left
        return blend


def _taps(size: int, wanted: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each wanted position: the pixel before, the pixel after, and the share of the latter."""
    position = np.clip((np.arange(wanted) + 0.5) * (size / wanted) - 0.5, 0, size - 1)
    before = position.astype(np.intp)
    after = np.minimum(before + 1, size - 1)
    return before, after, (position - before).astype(np.float32)


def _interleaved(columns: NDArray[np.intp], channels: int) -> NDArray[np.intp]:
    return (columns[:, None] * channels + np.arange(channels)).ravel()
