"""Whether anything moves: on a small grey picture, before any colour is converted and any network is run.

A running average is the background; what differs from it by more than the noise counts. A change of the whole picture at once
is light, not motion: it moves the background along and is reported as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
ROWS = 96
"""Height of the picture that is compared: a person of a twentieth of the frame's height still covers several pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionSettings:
    """What counts as motion."""

    threshold: float = 18.0
    """Grey levels of difference from the background."""
    share: float = 0.002
    """Of the picture that has to differ."""
    light_share: float = 0.75
    """Of the picture that differs at once when the light was switched."""
    learn_s: float = 8.0
    """Seconds in which the background takes over what stands still."""
    hold_s: float = 1.0
    """Motion goes on that long after the last sign of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """What the gate saw: `moving` (held), the share of the picture that differs, and whether only the light changed."""

    moving: bool
    share: float
    light: bool = False


class MotionGate:
    """Compares each frame's luma with what was there before."""

    def __init__(self, settings: MotionSettings | None = None) -> None:
        self._settings = settings or MotionSettings()
        self._background: NDArray[np.float32] | None = None
        self._last_s = 0.0
        self._moved_s: float | None = None

    def look(self, luma: Plane, time_s: float) -> Motion:
        """Compare `luma` [h, w]. The first frame, and the first of another size, always count as motion."""
        small = shrink(luma)
        if self._background is None or self._background.shape != small.shape:
            self._background, self._last_s, self._moved_s = small, time_s, time_s
            return Motion(moving=True, share=1.0)
        share = float((np.abs(small - self._background) > self._settings.threshold).mean())
        light = share >= self._settings.light_share
        self._learn(small, time_s, at_once=light)
        if share >= self._settings.share and not light:
            self._moved_s = time_s
        held = self._moved_s is not None and 0 <= time_s - self._moved_s <= self._settings.hold_s
        return Motion(moving=held, share=share, light=light)

    def _learn(self, small: NDArray[np.float32], time_s: float, *, at_once: bool) -> None:
        assert self._background is not None
        passed = max(time_s - self._last_s, 0.0)
        rate = 1.0 if at_once else float(1 - np.exp(-passed / self._settings.learn_s))
        self._background += np.float32(rate) * (small - self._background)
        self._last_s = time_s


def shrink(luma: Plane) -> NDArray[np.float32]:
    """Means of square blocks, so that the result has about `ROWS` rows: noise goes, people stay."""
    block = max(luma.shape[0] // ROWS, 1)
    rows, columns = luma.shape[0] // block, luma.shape[1] // block
    step = max(block // 4, 1)
    lines = (
        luma[: rows * block, : columns * block].reshape(rows, block, columns * block)[:, ::step].sum(axis=1, dtype=np.uint16)
    )
    # Summed place by place: numpy's own sum over a last axis of four is eight times slower. At most 7 x 7 places fit sixteen bits.
    places = range(0, block, step)
    total = sum((lines[:, place::block] for place in places[1:]), start=lines[:, ::block])
    small: NDArray[np.float32] = total.astype(np.float32) / np.float32(len(places) ** 2)
    return small
