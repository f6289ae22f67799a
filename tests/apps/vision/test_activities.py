"""Activities, acted by a stick figure: falls and what only looks like one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.apps.vision.activities.fall import DOWN, FALL, FallRule
from edgekit.apps.vision.activities.fight import possible_fight
from edgekit.apps.vision.activities.moves import crouching, hands_up, running
from edgekit.apps.vision.poses.keypoints import Pose
from edgekit.apps.vision.poses.postures import History, percentile, posture

Figure = Callable[[float], Pose]
STANDING = np.array([
    (0, 0), (-2, -2), (2, -2), (-4, 0), (4, 0), (-12, 18), (12, 18), (-15, 38), (15, 38), (-15, 56), (15, 56),
    (-8, 56), (8, 56), (-8, 78), (8, 78), (-8, 98), (8, 98),
], np.float64)  # fmt: skip
"""Joints of a person 100 high, nose at the origin."""


def figure(points: np.ndarray, at: tuple[float, float] = (200, 100), size: float = 1.0) -> Pose:
    return Pose(points=points * size + at, scores=np.full(17, 0.7))


def lying() -> np.ndarray:
    return np.stack([STANDING[:, 1], 85 + STANDING[:, 0] * 0.5], axis=1)


def bent() -> np.ndarray:
    points = STANDING.copy()
    points[:11, 0], points[:11, 1] = 56 - STANDING[:11, 1], 56 + STANDING[:11, 0] * 0.3
    return points


def squatting() -> np.ndarray:
    points = STANDING.copy()
    points[:13, 1] += 34
    points[13:15] = [(-22, 76), (22, 76)]
    return points


def between(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return one + (other - one) * min(max(share, 0.0), 1.0)


def acted(
    script: Callable[[float], np.ndarray], seconds: float, *, size: float = 1.0, rate: float = 10.0
) -> list[tuple[float, set[str]]]:
    """The activities that hold after each look."""
    history, rule, seen = History(), FallRule(), []
    for step in range(int(seconds * rate)):
        time_s = step / rate
        pose = figure(script(time_s), size=size)
        box = pose.box(0.2)
        assert box is not None
        history.add(posture(box + np.array([-4, -8, 4, 4]) * size, pose, time_s))
        seen.append((time_s, {sign.activity for sign in rule.look(history)}))
    return seen


def first(seen: list[tuple[float, set[str]]], activity: str) -> float | None:
    return next((time_s for time_s, found in seen if activity in found), None)


@pytest.mark.parametrize("count", [1, 2, 11, 100])
def test_a_portion_of_some_numbers_is_numpys(count: int) -> None:
    values = np.random.default_rng(count).normal(0, 50, count)
    assert percentile(values.tolist(), 0.9) == pytest.approx(float(np.percentile(values, 90)))


def fall(time_s: float) -> np.ndarray:
    return between(STANDING, lying(), (time_s - 2) / 0.6)


@pytest.mark.parametrize("size", [0.4, 1.0, 4.0])
@pytest.mark.parametrize("rate", [5.0, 10.0, 25.0])
def test_a_fall_is_suspected_within_two_seconds_whatever_size_and_rate(size: float, rate: float) -> None:
    found = first(acted(fall, 6, size=size, rate=rate), FALL)
    assert found is not None and 2.3 < found < 4.0


@pytest.mark.parametrize(
    "script",
    [
        lambda time_s: STANDING,
        lambda time_s: between(STANDING, bent(), (time_s - 2) / 0.8),
        lambda time_s: between(STANDING, squatting(), (time_s - 2) / 0.8),
        lambda time_s: between(STANDING, squatting(), np.sin(time_s * 4)),
        lambda time_s: lying(),
        lambda time_s: between(STANDING, lying(), (time_s - 2) / 8),
    ],
    ids=["standing", "bending", "squatting", "exercising", "lying from the start", "lying down slowly"],
)
def test_what_only_looks_like_a_fall_is_none(script: Callable[[float], np.ndarray]) -> None:
    assert first(acted(script, 14), FALL) is None


def test_who_stays_down_is_down_after_ten_seconds() -> None:
    seen = acted(fall, 15)
    down, suspected = first(seen, DOWN), first(seen, FALL)
    assert down is not None and suspected is not None and 9 < down - suspected < 11


def test_who_gets_up_again_cancels_the_alarm() -> None:
    seen = acted(lambda time_s: fall(time_s) if time_s < 6 else between(lying(), STANDING, (time_s - 6) / 1), 20)
    assert first(seen, DOWN) is None
    assert not seen[-1][1]


def history_of(script: Callable[[float], Pose], seconds: float = 2.0) -> History:
    history = History()
    for step in range(int(seconds * 10)):
        pose = script(step / 10)
        box = pose.box(0.2)
        assert box is not None
        history.add(posture(box, pose, step / 10))
    return history


def test_running_is_fast_and_walking_is_not() -> None:
    assert running(history_of(lambda time_s: figure(STANDING, (100 + 80 * time_s, 100)))) is None
    sign = running(history_of(lambda time_s: figure(STANDING, (100 + 300 * time_s, 100))))
    assert sign is not None and sign.evidence["bodies_per_s"] == pytest.approx(3, rel=0.15)


def test_hands_up_needs_both_hands() -> None:
    both, one = STANDING.copy(), STANDING.copy()
    both[[7, 8, 9, 10]] = [(-16, 2), (16, 2), (-16, -20), (16, -20)]
    one[[7, 9]] = both[[7, 9]]
    assert hands_up(history_of(lambda time_s: figure(both))) is not None
    assert hands_up(history_of(lambda time_s: figure(one))) is None


def test_crouching_is_held_and_standing_is_not_crouching() -> None:
    assert crouching(history_of(lambda time_s: figure(STANDING))) is None
    assert crouching(history_of(lambda time_s: figure(between(STANDING, squatting(), time_s)), 3.5)) is not None


def test_a_fight_takes_two_who_are_near_and_busy() -> None:
    def hitting(time_s: float, at: tuple[float, float]) -> Pose:
        points = STANDING.copy()
        points[9, 0] += 60 * (int(time_s * 10) % 2)
        return figure(points, at)

    near = [history_of(lambda time_s, x=x: hitting(time_s, (x, 100))) for x in (100.0, 140.0)]
    far = history_of(lambda time_s: hitting(time_s, (600, 100)))
    calm = history_of(lambda time_s: figure(STANDING, (140, 100)))
    assert possible_fight(*near) is not None
    assert possible_fight(near[0], far) is None
    assert possible_fight(near[0], calm) is None


def test_histories_are_bounded_and_survive_a_clock_that_jumps() -> None:
    history = History()
    for step in range(10_000):
        history.add(posture(np.array([0.0, 0, 10, 30]), None, step / 10))
    assert len(history.last(1e9)) <= 122
    history.add(posture(np.array([0.0, 0, 10, 30]), None, 1.0))
    assert len(history.last(1e9)) == 1
