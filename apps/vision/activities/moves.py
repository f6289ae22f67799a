"""Running, crouching and hands up: one person's posture over a second or so, in measures of their body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot
from statistics import median

import numpy as np

from edgekit.apps.vision.activities.sign import Sign, margin
from edgekit.apps.vision.poses.postures import History, Posture, share

RUNNING, CROUCHING, HANDS_UP = "running", "crouching", "hands_up"
RUN_S, RUN_BODIES = 0.8, 1.6
"""A walk is about 0.8 body lengths a second, a run twice that and more."""
CROUCH_S, CROUCH_HIPS, CROUCH_TILT, CROUCH_LEGS = 1.0, 0.2, 50.0, 0.24
HANDS_S = 0.6
HELD = 0.8


def running(history: History) -> Sign | None:
    """Moves fast for `RUN_S`, upright: median speed of the box's middle in body lengths a second."""
    looks = history.last(RUN_S)
    if not history.covers(RUN_S) or len(looks) < 4 or share(one.ratio < 1 for one in looks) < HELD:
        return None
    body = history.body()
    straight = hypot(looks[-1].x - looks[0].x, looks[-1].y - looks[0].y) / body / (looks[-1].time_s - looks[0].time_s)
    if straight < RUN_BODIES:
        return None
    speeds = [
        hypot(after.x - before.x, after.y - before.y) / max(after.time_s - before.time_s, 1e-6) / body
        for before, after in zip(looks, looks[2:], strict=False)
    ]
    speed = min(median(speeds), straight)
    if speed < RUN_BODIES:
        return None
    return _sign(RUNNING, looks, margin(speed, RUN_BODIES, 2 * RUN_BODIES), {"bodies_per_s": speed})


def crouching(history: History) -> Sign | None:
    """Hips down by a fifth of the body, thighs folded, torso upright, for `CROUCH_S`. Who sits on a chair keeps longer legs."""
    looks, body = history.last(CROUCH_S), history.body()
    heights = [one.hip_y for one in history.last(10.0) if one.hip_y == one.hip_y]
    if not history.covers(CROUCH_S) or len(looks) < 4 or not heights:
        return None
    top = min(heights)

    def holds(one: Posture) -> bool:
        down = (one.hip_y - top) / body >= CROUCH_HIPS
        return down and one.tilt < CROUCH_TILT and one.legs < CROUCH_LEGS * body and one.ratio < 1.1

    if share(holds(one) for one in looks) < HELD:
        return None
    drop, legs = (looks[-1].hip_y - top) / body, looks[-1].legs / body
    return _sign(CROUCHING, looks, margin(drop, CROUCH_HIPS, 2 * CROUCH_HIPS), {"hip_drop_bodies": drop, "legs_bodies": legs})


def hands_up(history: History) -> Sign | None:
    """Both wrists above the nose and both elbows above the shoulders, for `HANDS_S`."""
    looks, body = history.last(HANDS_S), history.body()
    if not history.covers(HANDS_S) or len(looks) < 3 or share(_hands(one) for one in looks) < HELD:
        return None
    height = float(np.nanmedian([one.wrists_up for one in looks])) / body
    return _sign(HANDS_UP, looks, margin(height, 0.0, 0.2), {"wrists_above_nose_bodies": height})


def _hands(one: Posture) -> bool:
    return one.wrists_up > 0 and one.elbows_up > 0


def _sign(activity: str, looks: Sequence[Posture], score: float, evidence: dict[str, float]) -> Sign:
    kept = {name: round(value, 3) for name, value in evidence.items() if value == value}
    return Sign(activity=activity, score=round(score, 3), since_s=looks[0].time_s, evidence=kept)


MOVES: tuple[Callable[[History], Sign | None], ...] = (running, crouching, hands_up)
