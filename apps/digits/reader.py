"""From a picture to digits: find the ink, part it into digits, normalise each, ask the network, and part those that touch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.digits.ink import Inked, find_ink
from edgekit.apps.digits.normalise import normalised
from edgekit.apps.digits.segment import Box, Glyph, glyphs, with_edges
from edgekit.apps.digits.touching import may_be_one, may_be_several, partings, union

Floats = NDArray[np.float32]
Classify = Callable[[Floats], Floats]
"""A normalised digit, float32 [28, 28] in 0..1 (white ink), to ten probabilities, float32 [10]."""

WORKING_PX = 2000
"""Larger pictures are reduced to this before the ink is looked for; boxes are given in the original's pixels."""

TOP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Digit:
    """One digit that was read: what it is, how sure, the best three, and the box in pixels (x1, y1, x2, y2)."""

    digit: int
    score: float
    top3: tuple[tuple[int, float], ...]
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All digits of a picture in reading order, and the time the network took for all of them.

    `pictures` holds what the network saw of each digit, float32 [28, 28] in 0..1.
    """

    digits: tuple[Digit, ...]
    latency_ms: float
    pictures: tuple[Floats, ...] = ()


def read_digits(image: NDArray[np.uint8], classify: Classify) -> Reading:
    """Every digit in a picture, uint8 RGB [H, W, 3]: dark on light or light on dark, one digit or rows of them."""
    small, factor = reduced(image, WORKING_PX)
    inked = find_ink(small)
    clock = _Clock(classify)
    read = [digit for glyph in _whole(glyphs(inked.mask), inked, clock) for digit in _read(glyph, inked, clock)]
    height, width = image.shape[:2]
    found = tuple(_digit(one, factor, width, height) for one in read)
    pictures = tuple(one.picture for one in read)
    return Reading(digits=found, latency_ms=round(1000 * clock.seconds, 3), pictures=pictures)


def reduced(image: NDArray[np.uint8], limit: int) -> tuple[NDArray[np.uint8], int]:
    """The picture with its longer side at most `limit`, by means over whole squares of pixels, and the squares' side."""
    factor = math.ceil(max(image.shape[:2]) / limit)
    if factor == 1 or min(image.shape[:2]) < factor:
        return image, 1
    height, width = (size // factor for size in image.shape[:2])
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(squares.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8), factor


class _Clock:
    """A classifier that knows how long it has been at work."""

    def __init__(self, classify: Classify) -> None:
        self._classify = classify
        self.seconds = 0.0

    def __call__(self, picture: Floats) -> Floats:
        started = time.perf_counter()
        probabilities = self._classify(picture)
        self.seconds += time.perf_counter() - started
        return probabilities


@dataclass(frozen=True, slots=True)
class _Read:
    """A glyph, what the network saw of it, and what it said."""

    glyph: Glyph
    picture: Floats
    probabilities: Floats


def _whole(found: Sequence[Glyph], inked: Inked, classify: Classify) -> Sequence[Glyph]:
    """The glyphs, neighbours put together where they are read with more certainty as one digit than as two."""
    whole: list[Glyph] = []
    for glyph in found:
        joined = union(whole[-1], glyph) if whole and may_be_one(whole[-1], glyph) else None
        if joined is not None:
            apart = [_ask(part, inked, classify) for part in (whole[-1], glyph)]
            joined = joined if _certainty([_ask(joined, inked, classify)]) > _certainty(apart) else None
        whole = [*whole, glyph] if joined is None else [*whole[:-1], joined]
    return whole


def _read(glyph: Glyph, inked: Inked, classify: Classify) -> Sequence[_Read]:
    """The glyph as one digit, or as the several that touch in it when those are read with more certainty."""
    surest: Sequence[_Read] = [_ask(glyph, inked, classify)]
    if not may_be_several(glyph):
        return surest
    for parts in partings(glyph):
        read = [_ask(part, inked, classify) for part in parts]
        if _certainty(read) > _certainty(surest):
            surest = read
    return surest


def _certainty(read: Sequence[_Read]) -> float:
    """How likely it is that every digit is read rightly."""
    return math.prod(float(one.probabilities.max()) for one in read)


def _ask(glyph: Glyph, inked: Inked, classify: Classify) -> _Read:
    (x1, y1, x2, y2), mask = with_edges(glyph, inked.strength)
    picture = normalised(inked.strength[y1:y2, x1:x2], mask)
    return _Read(glyph, picture, classify(picture))


def best(probabilities: Floats) -> tuple[tuple[int, float], ...]:
    """The three likeliest digits with their probabilities, likeliest first."""
    order = np.argsort(-probabilities, kind="stable")[:TOP]
    return tuple((int(index), round(float(probabilities[index]), 4)) for index in order)


def _digit(read: _Read, factor: int, width: int, height: int) -> Digit:
    top = best(read.probabilities)
    x1, y1, x2, y2 = (factor * edge for edge in read.glyph.box)
    return Digit(digit=top[0][0], score=top[0][1], top3=top, box=(x1, y1, min(x2, width), min(y2, height)))
