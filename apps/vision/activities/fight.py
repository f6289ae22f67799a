"""A possible fight: two people within reach of each other whose wrists both move fast. Hugging and dancing look much the same, so
that this is a hint of low severity and is called possible."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from math import hypot, isfinite

from edgekit.apps.vision.activities.sign import Sign, margin
from edgekit.apps.vision.poses.postures import History, Posture

FIGHT = "possible_fight"
HOLD_S, REACH, WRISTS = 1.2, 0.5, 1.8
"""Seconds; gap between the two boxes in box widths; body lengths a second that the faster wrist moves."""
BUSY = 0.4
"""Share of the looks in which a wrist is that fast: blows come in bursts."""


def possible_fight(one: History, other: History) -> Sign | None:
    """Whether these two may be fighting."""
    looks, others = one.last(HOLD_S), other.last(HOLD_S)
    if not one.covers(HOLD_S) or not other.covers(HOLD_S) or len(looks) < 5 or len(others) < 5:
        return None
    gap = _gap(looks[-1], others[-1])
    if gap > REACH:
        return None
    busy = min(_busy(looks, one.body()), _busy(others, other.body()))
    if busy < BUSY:
        return None
    evidence = {"gap_widths": round(gap, 3), "busy_share": round(busy, 3)}
    return Sign(activity=FIGHT, score=round(margin(busy, BUSY, 1.0), 3), since_s=looks[0].time_s, evidence=evidence)


def _gap(one: Posture, other: Posture) -> float:
    """Free space between the boxes, in widths of the narrower; 0 where they touch."""
    across = abs(one.x - other.x) - (one.width + other.width) / 2
    down = abs(one.y - other.y) - (one.height + other.height) / 2
    return max(across, down, 0.0) / max(min(one.width, other.width), 1.0)


def _busy(looks: list[Posture], body: float) -> float:
    """The share of steps in which one wrist moves fast, seen from the body's middle: walking does not count."""
    fast = [speed >= WRISTS for speed in _speeds(looks, body)]
    return sum(fast) / len(fast) if fast else 0.0


def _speeds(looks: list[Posture], body: float) -> Iterable[float]:
    """Of the faster wrist that is seen, in every step where one is. Four numbers a time: numpy's calls would cost ten times as much."""
    for before, after in itertools.pairwise(looks):
        across, down = after.x - before.x, after.y - before.y
        (left, left_y, right, right_y), (old_left, old_left_y, old_right, old_right_y) = after.wrists, before.wrists
        moved = (
            hypot(left - old_left - across, left_y - old_left_y - down),
            hypot(right - old_right - across, right_y - old_right_y - down),
        )
        if seen := [length for length in moved if isfinite(length)]:
            yield max(seen) / body / max(after.time_s - before.time_s, 1e-6)
