"""How a person holds themselves, in measures of their own body: angles, proportions, and where the shoulders are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import atan2, degrees, hypot, nan

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.poses.keypoints import ANKLES, ELBOWS, HIPS, KNEES, NOSE, SHOULDERS, WRISTS, Pose

Floats = NDArray[np.float64]
KEPT_S = 12.0
"""How much of the past is kept; the longest rule looks back less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """One person at one time. Lengths are pixels; what was not seen is NaN."""

    time_s: float
    x: float
    y: float
    """Middle of the box."""
    width: float
    height: float
    shoulder_y: float
    """Height of the shoulders in the picture; a fifth below the box's top where there is no pose."""
    hip_y: float
    """Height of the hips in the picture."""
    tilt: float
    """Degrees between torso and the vertical: 0 upright, 90 lying, more when head down."""
    torso: float
    """Shoulders to hips."""
    legs: float
    """Hips to ankles (or twice hips to knees), along the vertical; negative when the feet are above."""
    wrists_up: float
    """How far the lower wrist is above the nose; negative below."""
    elbows_up: float
    """How far the lower elbow is above its shoulder."""
    wrists: tuple[float, float, float, float]
    """Left x, y and right x, y."""
    score: float
    """Mean score of shoulders and hips; 0 without a pose."""

    @property
    def length(self) -> float:
        """The longer side of the box: about the body's length, lying or standing."""
        return max(self.width, self.height)

    @property
    def ratio(self) -> float:
        """Width by height of the box."""
        return self.width / max(self.height, 1.0)


def posture(box: Floats, pose: Pose | None, time_s: float, least: float = 0.2) -> Posture:
    """The measures of one person; joints below the score `least` count as unseen."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    shoulders, hips, legs = (None, None, None) if pose is None else _joints(pose, least)
    torso = (nan, nan) if shoulders is None or hips is None else (hips[0] - shoulders[0], hips[1] - shoulders[1])
    return Posture(
        time_s=time_s,
        x=(x1 + x2) / 2,
        y=(y1 + y2) / 2,
        width=x2 - x1,
        height=y2 - y1,
        shoulder_y=y1 + (y2 - y1) / 5 if shoulders is None else float(shoulders[1]),
        hip_y=nan if hips is None else float(hips[1]),
        tilt=abs(degrees(atan2(torso[0], torso[1]))) if torso[0] == torso[0] else nan,
        torso=hypot(*torso),
        legs=nan if legs is None or hips is None else float(legs - hips[1]),
        wrists_up=nan if pose is None else _above(pose, WRISTS, (NOSE, NOSE), least),
        elbows_up=nan if pose is None else _above(pose, ELBOWS, SHOULDERS, least),
        wrists=(nan,) * 4 if pose is None else _wrists(pose, least),
        score=0.0 if pose is None else float(pose.scores[[*SHOULDERS, *HIPS]].mean()),
    )


def _joints(pose: Pose, least: float) -> tuple[Floats | None, Floats | None, float | None]:
    """Shoulders, hips, and the height at which the ankles are or should be."""
    shoulders, hips = pose.middle(SHOULDERS, least), pose.middle(HIPS, least)
    ankles, knees = pose.middle(ANKLES, least), pose.middle(KNEES, least)
    if ankles is not None:
        return shoulders, hips, float(ankles[1])
    if knees is not None and hips is not None:
        return shoulders, hips, float(2 * knees[1] - hips[1])
    return shoulders, hips, None


def _above(pose: Pose, pair: tuple[int, int], marks: tuple[int, int], least: float) -> float:
    """How far the lower of a pair of joints is above its mark; NaN unless all are seen."""
    if pose.scores[[*pair, *marks]].min() < least:
        return nan
    return float(min(pose.points[mark, 1] - pose.points[joint, 1] for joint, mark in zip(pair, marks, strict=True)))


def _wrists(pose: Pose, least: float) -> tuple[float, float, float, float]:
    seen = [pose.points[index] if pose.scores[index] >= least else (nan, nan) for index in WRISTS]
    return float(seen[0][0]), float(seen[0][1]), float(seen[1][0]), float(seen[1][1])


class History:
    """The postures of one person during the last `KEPT_S` seconds."""

    def __init__(self) -> None:
        self._kept: deque[Posture] = deque()
        self._body: float | None = None

    def add(self, one: Posture) -> None:
        """The newest; older than the one before (a clock that jumped) starts the history anew."""
        if self._kept and one.time_s <= self._kept[-1].time_s:
            self._kept.clear()
        self._kept.append(one)
        self._body = None
        while self._kept[0].time_s < one.time_s - KEPT_S:
            self._kept.popleft()

    def last(self, seconds: float) -> list[Posture]:
        """Those of the last `seconds`, oldest first."""
        if not self._kept:
            return []
        since_s = self._kept[-1].time_s - seconds - 1e-6
        newest_first = list(takewhile(lambda one: one.time_s >= since_s, reversed(self._kept)))
        return newest_first[::-1]

    def covers(self, seconds: float) -> bool:
        """Whether it goes back that far."""
        return bool(self._kept) and self._kept[-1].time_s - self._kept[0].time_s >= seconds - 1e-6

    def body(self) -> float:
        """The body's length in pixels, standing: the upper end of what the longer side of the box has been."""
        if self._body is None:
            self._body = max(percentile([one.length for one in self._kept], 0.9), 1.0)
        return self._body


def percentile(values: Sequence[float], portion: float) -> float:
    """The value below which that portion of them lies, between two of them in proportion; 0 of none. Of a hundred numbers numpy's
    takes ten times as long, and every person of every frame is asked for theirs."""
    if not values:
        return 0.0
    ordered, place = sorted(values), portion * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def share(postures: Iterable[bool]) -> float:
    """The share of them that is true; 0 of none."""
    found = list(postures)
    return sum(found) / len(found) if found else 0.0
