"""Where boxes will be: a constant-velocity Kalman filter for centre x, centre y, width and height of all tracks at once.

The four quantities do not mix, so that each has a two by two covariance of its own: [N, 4] of (position variance, covariance,
velocity variance). Noise is in shares of the box's height, as in SORT and ByteTrack (Zhang et al., arXiv:2110.06864).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POSITION_NOISE, VELOCITY_NOISE = 1 / 20, 1 / 16
"""Standard deviations per second of drift, and of a measurement, as shares of the box's height."""
SPEED_LASTS_S = np.array([1.0, 0.25, 0.25, 0.25])
"""Seconds after which a track that is not seen has lost most of its speed, sideways and otherwise: people walk on behind a pillar."""
SIZE_NOISE_SHARE = 0.5
"""Widths and heights wander less than centres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motions:
    """Means and covariances of N boxes: `place`, `speed` (per second) and the three variances are [N, 4]."""

    place: Floats
    speed: Floats
    place_var: Floats
    cross_var: Floats
    speed_var: Floats

    def __len__(self) -> int:
        return len(self.place)

    def take(self, rows: NDArray[np.intp]) -> Motions:
        """Those of the given rows."""
        return Motions(
            place=self.place[rows],
            speed=self.speed[rows],
            place_var=self.place_var[rows],
            cross_var=self.cross_var[rows],
            speed_var=self.speed_var[rows],
        )


def started(boxes: Floats) -> Motions:
    """New boxes [N, 4] (x1, y1, x2, y2), standing still as far as anyone knows."""
    place = measured(boxes)
    noise = _noise(place)
    return Motions(
        place=place,
        speed=np.zeros_like(place),
        place_var=(2 * POSITION_NOISE * noise) ** 2,
        cross_var=np.zeros_like(place),
        speed_var=(10 * VELOCITY_NOISE * noise) ** 2,
    )


def predicted(motions: Motions, passed_s: float) -> Motions:
    """The same boxes `passed_s` seconds later."""
    noise = _noise(motions.place)
    drift, change = (POSITION_NOISE * noise) ** 2 * passed_s * 4, (VELOCITY_NOISE * noise) ** 2 * passed_s * 16
    place = motions.place + motions.speed * passed_s
    place[:, 2:] = np.maximum(place[:, 2:], 1.0)
    return Motions(
        place=place,
        speed=motions.speed,
        place_var=motions.place_var + 2 * passed_s * motions.cross_var + passed_s**2 * motions.speed_var + drift,
        cross_var=motions.cross_var + passed_s * motions.speed_var,
        speed_var=motions.speed_var + change,
    )


def slowed(motions: Motions, unseen: NDArray[np.bool_], passed_s: float) -> Motions:
    """Those that were not seen lose their speed: who fell lies where they fell, and does not go on through the floor."""
    kept = np.where(unseen[:, None], np.exp(-passed_s / SPEED_LASTS_S), 1.0)
    return replace(motions, speed=motions.speed * kept)


def corrected(motions: Motions, boxes: Floats) -> Motions:
    """After measuring each of them once: `boxes` [N, 4] in the same order."""
    innovation = measured(boxes) - motions.place
    gain_base = motions.place_var + (POSITION_NOISE * _noise(motions.place)) ** 2
    gain, speed_gain = motions.place_var / gain_base, motions.cross_var / gain_base
    place = motions.place + gain * innovation
    place[:, 2:] = np.maximum(place[:, 2:], 1.0)
    return Motions(
        place=place,
        speed=motions.speed + speed_gain * innovation,
        place_var=(1 - gain) * motions.place_var,
        cross_var=(1 - gain) * motions.cross_var,
        speed_var=motions.speed_var - speed_gain * motions.cross_var,
    )


def joined(first: Motions, second: Motions) -> Motions:
    """Both, one after the other."""
    names = ("place", "speed", "place_var", "cross_var", "speed_var")
    return Motions(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


def measured(boxes: Floats) -> Floats:
    """Boxes as centres and sizes."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def boxes_of(motions: Motions) -> Floats:
    """Centres and sizes as boxes."""
    half = motions.place[:, 2:] / 2
    return np.concatenate([motions.place[:, :2] - half, motions.place[:, :2] + half], axis=1)


def _noise(place: Floats) -> Floats:
    """[N, 4]: the longer side of the box (one who fell is as long as before), less for the sizes."""
    side = place[:, 2:].max(axis=1, keepdims=True)
    noise: Floats = side * np.array([1, 1, SIZE_NOISE_SHARE, SIZE_NOISE_SHARE])
    return noise
