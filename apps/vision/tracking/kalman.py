"""Where boxes will be: a constant-velocity Kalman filter for centre x, centre y, width and height of all tracks at once.

The four quantities do not mix, so that each has a two by two covariance of its own: position variance, covariance,
velocity variance. Noise is in shares of the box's height, as in SORT and ByteTrack (Zhang et al., arXiv:2110.06864).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POSITION_NOISE, VELOCITY_NOISE = 1 / 20, 1 / 16
"""Standard deviations per second of drift, and of a measurement, as shares of the box's height."""
SPEED_LASTS_S = np.array([[1.0], [0.25], [0.25], [0.25]])
"""Seconds after which a track that is not seen has lost most of its speed, sideways and otherwise: people walk on behind a pillar."""
SIZE_NOISE_SHARE = 0.5
"""Widths and heights wander less than centres."""
SHARES = np.array([[1], [1], [SIZE_NOISE_SHARE], [SIZE_NOISE_SHARE]])


PLACE, SPEED, PLACE_VAR, CROSS_VAR, SPEED_VAR = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Motions:
    """N boxes: `state` [5, 4, N] holds means and covariances in one array, since a dozen boxes cost what the calls cost, and numpy's
    calls cost most where the last axis is short."""

    state: Floats

    @property
    def place(self) -> Floats:
        """Centres and sizes [4, N]."""
        place: Floats = self.state[PLACE]
        return place

    @property
    def speed(self) -> Floats:
        """Their changes a second [4, N]."""
        speed: Floats = self.state[SPEED]
        return speed

    def __len__(self) -> int:
        return int(self.state.shape[2])

    def take(self, rows: NDArray[np.intp]) -> Motions:
        """Those of the given rows."""
        return Motions(state=self.state.take(rows, axis=2))


def started(boxes: Floats) -> Motions:
    """New boxes [N, 4] (x1, y1, x2, y2), standing still as far as anyone knows."""
    state = np.zeros((5, 4, len(boxes)))
    state[PLACE] = measured(boxes)
    noise = _noise(state[PLACE])
    state[PLACE_VAR] = (2 * POSITION_NOISE * noise) ** 2
    state[SPEED_VAR] = (10 * VELOCITY_NOISE * noise) ** 2
    return Motions(state=state)


def predicted(motions: Motions, passed_s: float) -> Motions:
    """The same boxes `passed_s` seconds later."""
    state = (_passing(passed_s) @ motions.state.reshape(5, -1)).reshape(motions.state.shape)
    drift = _noise(motions.place) ** 2 * passed_s
    state[PLACE_VAR] += POSITION_NOISE**2 * 4 * drift
    state[SPEED_VAR] += VELOCITY_NOISE**2 * 16 * drift
    np.maximum(state[PLACE, 2:], 1.0, out=state[PLACE, 2:])
    return Motions(state=state)


def _passing(passed_s: float) -> Floats:
    """[5, 5]: what becomes of means and covariances in that time, before noise."""
    passing = np.eye(5)
    passing[PLACE, SPEED] = passing[CROSS_VAR, SPEED_VAR] = passed_s
    passing[PLACE_VAR, CROSS_VAR], passing[PLACE_VAR, SPEED_VAR] = 2 * passed_s, passed_s**2
    return passing


def slowed(motions: Motions, unseen: NDArray[np.bool_], passed_s: float) -> Motions:
    """Those that were not seen lose their speed: who fell lies where they fell, and does not go on through the floor."""
    if not unseen.any():
        return motions
    state = motions.state.copy()
    state[SPEED, :, unseen] *= np.exp(-passed_s / SPEED_LASTS_S).T
    return Motions(state=state)


def corrected(motions: Motions, rows: NDArray[np.intp], boxes: Floats) -> Motions:
    """The same after measuring those of the given rows once: `boxes` [R, 4] in the rows' order."""
    state, seen = motions.state.copy(), motions.state.take(rows, axis=2)
    place, speed, place_var, cross_var, speed_var = seen
    trust = place_var + POSITION_NOISE**2 * _noise(place) ** 2
    gain, speed_gain = place_var / trust, cross_var / trust
    innovation = measured(boxes) - place
    place += gain * innovation
    np.maximum(place[2:], 1.0, out=place[2:])
    speed += speed_gain * innovation
    speed_var -= speed_gain * cross_var
    seen[PLACE_VAR:SPEED_VAR] *= 1 - gain
    state[:, :, rows] = seen
    return Motions(state=state)


def joined(first: Motions, second: Motions) -> Motions:
    """Both, one after the other."""
    return Motions(state=np.concatenate([first.state, second.state], axis=2))


def measured(boxes: Floats) -> Floats:
    """Boxes [N, 4] as centres and sizes [4, N]."""
    corners, found = boxes.T, np.empty((4, len(boxes)))
    np.subtract(corners[2:], corners[:2], out=found[2:])
    np.add(corners[2:], corners[:2], out=found[:2])
    found[:2] /= 2
    return found


def boxes_of(motions: Motions) -> Floats:
    """All of them as boxes [N, 4]."""
    place, found = motions.place, np.empty((len(motions), 4))
    half, corners = place[2:] / 2, found.T
    np.subtract(place[:2], half, out=corners[:2])
    np.add(place[:2], half, out=corners[2:])
    return found


def _noise(place: Floats) -> Floats:
    """[4, N]: the longer side of the box (one who fell is as long as before), less for the sizes."""
    noise: Floats = np.maximum(place[2], place[3]) * SHARES
    return noise
