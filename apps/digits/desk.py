"""The desk that pictures are laid on: the network that reads them, and others beside it that say what they would have read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.digits.annotate import UNSURE_BELOW
from edgekit.apps.digits.networks import About, Network
from edgekit.apps.digits.reader import Digit, Floats, best, read_digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one network says of a digit: the best three with calibrated probabilities, and its time."""

    about: About
    top3: tuple[tuple[int, float], ...]
    latency_ms: float

    @property
    def digit(self) -> int:
        """The likeliest."""
        return self.top3[0][0]

    @property
    def score(self) -> float:
        """Its probability."""
        return self.top3[0][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One digit as it was seen: what was read, the 28x28 the network got, and every network's opinion, the reader's first."""

    digit: Digit
    picture: Floats
    opinions: tuple[Opinion, ...]

    @property
    def is_unsure(self) -> bool:
        """Whether a person should look: the score is low, or the networks disagree."""
        return self.digit.score < UNSURE_BELOW or len({opinion.digit for opinion in self.opinions}) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A picture that was read: its size in pixels, its digits in reading order, and the time of the reading network."""

    width: int
    height: int
    looks: tuple[Look, ...]
    latency_ms: float

    @property
    def number(self) -> str:
        """The digits in reading order."""
        return "".join(str(look.digit.digit) for look in self.looks)


@dataclass(frozen=True, slots=True)
class Desk:
    """`reader` reads; `others` are asked about the same digits; `absent` says why some do not run here."""

    reader: Network
    others: tuple[Network, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def read(self, image: NDArray[np.uint8]) -> Sheet:
        """Read a picture, uint8 RGB [H, W, 3]. One at a time: a board has no cores to spare."""
        with self._lock:
            reading = read_digits(image, self.reader)
            looks = tuple(self._look(*pair) for pair in zip(reading.digits, reading.pictures, strict=True))
        return Sheet(width=image.shape[1], height=image.shape[0], looks=looks, latency_ms=reading.latency_ms)

    def close(self) -> None:
        """Release the engines."""
        for network in (self.reader, *self.others):
            network.close()

    def _look(self, digit: Digit, picture: Floats) -> Look:
        opinions = tuple(_opinion(network, picture) for network in (self.reader, *self.others))
        return Look(digit=digit, picture=picture, opinions=opinions)


def _opinion(network: Network, picture: Floats) -> Opinion:
    probabilities, seconds = network.timed(picture)
    return Opinion(about=network.about, top3=best(probabilities), latency_ms=round(1000 * seconds, 3))
