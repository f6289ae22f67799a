"""What decided: how much surer the network is with each part of the ink than without it.

Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014) through the very artifact that
read the digit, whatever engine runs it: patches of ink are taken away one by one and the network is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Classify = Callable[[Floats], Floats]

PATCH, STEP = 5, 2
LEAST = 1e-4
"""Probabilities below count as this: a patch without which the network is lost is no more telling than that."""


def occlusion(picture: Floats, digit: int, classify: Classify) -> Floats:
    """How much each pixel's ink speaks for `digit`, float32 [28, 28] in -1..1; below zero it speaks against it.

    `picture` float32 [28, 28] in 0..1. Takes up to 144 runs of the network, fewer the less ink there is.
    """
    whole = _certainty(classify(picture), digit)
    votes, times = np.zeros_like(picture), np.zeros_like(picture)
    for patch in _patches(picture):
        without = picture.copy()
        without[patch] = 0
        votes[patch] += whole - _certainty(classify(without), digit)
        times[patch] += 1
    mean = np.where(picture > 0, votes / np.maximum(times, 1), 0)
    return (mean / max(float(np.abs(mean).max()), 1e-6)).astype(np.float32)


def _certainty(probabilities: Floats, digit: int) -> float:
    """Log odds: in probabilities the difference between 0.99 and 0.9999 would not be seen."""
    chance = min(max(float(probabilities[digit]), LEAST), 1 - LEAST)
    return float(np.log(chance / (1 - chance)))


def _patches(picture: Floats) -> Iterator[tuple[slice, slice]]:
    """Windows that hold ink."""
    height, width = picture.shape
    for top in range(0, height - PATCH + 1, STEP):
        for left in range(0, width - PATCH + 1, STEP):
            window = (slice(top, top + PATCH), slice(left, left + PATCH))
            if picture[window].any():
                yield window
