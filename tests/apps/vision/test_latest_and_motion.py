"""The newest frame only, and whether anything moves."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.apps.vision.analysis.motion import ROWS, MotionGate, shrink
from edgekit.apps.vision.sources.latest import Latest


def test_who_is_late_finds_the_newest_and_the_others_are_counted() -> None:
    place: Latest[int] = Latest()
    for value in range(5):
        place.put(value)
    assert place.take(0) == 4
    assert place.dropped == 4
    assert place.take(0) is None
    place.close()
    assert place.closed


def _still(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(98, 103, (360, 640)).astype(np.uint8)


def test_noise_is_no_motion_and_a_walker_is() -> None:
    gate = MotionGate()
    seen = [gate.look(_still(number), number / 5).moving for number in range(20)]
    assert not any(seen[8:])
    walker = _still(50)
    walker[100:300, 200:260] = 30
    assert gate.look(walker, 4.0).moving


def test_a_switched_lamp_is_light_not_motion() -> None:
    gate = MotionGate()
    for number in range(20):
        gate.look(_still(number), number / 5)
    found = gate.look(_still(30) + np.uint8(80), 4.0)
    assert found.light and not found.moving
    assert not gate.look(_still(31) + np.uint8(80), 4.2).moving


def test_what_stays_becomes_background_and_another_size_begins_anew() -> None:
    gate = MotionGate()
    left = _still(0)
    left[100:300, 200:260] = 30
    gate.look(_still(1), 0.0)
    seen = [gate.look(left, 0.2 * number).moving for number in range(1, 300)]
    assert seen[0] and not seen[-1]
    assert gate.look(left[:180, :320], 61.0).moving


@pytest.mark.parametrize("size", [(96, 128), (50, 60), (765, 1023), (1080, 1920)])
def test_the_small_picture_holds_means_of_square_blocks(size: tuple[int, int]) -> None:
    """Of every fourth place at least, where a block is large."""
    height, width = size
    luma = np.random.default_rng(0).integers(0, 256, (height, width + 32)).astype(np.uint8)[:, :width]
    small, block = shrink(luma), max(height // ROWS, 1)
    assert small.shape == (height // block, width // block) and small.dtype == np.float32
    step = max(block // 4, 1)
    for row, column in ((0, 0), (small.shape[0] - 1, small.shape[1] - 1), (small.shape[0] // 2, 3)):
        here = luma[row * block : (row + 1) * block : step, column * block : (column + 1) * block : step]
        assert small[row, column] == pytest.approx(here.mean(), abs=1e-3)
    assert shrink(np.full((height, width), 255, np.uint8)).max() == 255, "nothing overflows"
