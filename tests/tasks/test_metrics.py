"""Metrics, on cases that were worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.core.errors import InputError
from edgekit.tasks.metrics import Judged, average_precision50, top1

Box = tuple[float, float, float, float]
HERE: Box = (0, 0, 10, 10)
NEARLY_HERE: Box = (0, 0, 10, 9)
HALF_HERE: Box = (0, 0, 10, 5)
THERE: Box = (50, 50, 60, 60)


def judged(
    found: Sequence[tuple[Box, float]] = (), true: Sequence[Box] = (), crowd: Sequence[Box] = (), class_id: int = 0
) -> Judged:
    return Judged(
        boxes=np.array([box for box, _ in found], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score in found], np.float32),
        class_ids=np.full(len(found), class_id),
        true_boxes=np.array([*true, *crowd], np.float32).reshape(-1, 4),
        true_class_ids=np.full(len(true) + len(crowd), class_id),
        true_crowd=np.array([False] * len(true) + [True] * len(crowd), np.bool_),
    )


def precision(*pictures: Judged) -> float:
    return average_precision50(pictures).mean


def test_top1_is_the_share_of_right_answers() -> None:
    assert top1([1, 2, 3, 4], [1, 2, 0, 0]) == 0.5
    assert top1([7], [7]) == 1.0
    with pytest.raises(InputError, match="0 predictions for 0 labels"):
        top1([], [])
    with pytest.raises(InputError, match="1 predictions for 2 labels"):
        top1([1], [1, 2])


def test_finding_everything_and_nothing_else_is_one() -> None:
    assert precision(judged([(HERE, 0.9), (THERE, 0.2)], [HERE, THERE])) == 1.0


def test_finding_nothing_is_zero() -> None:
    assert precision(judged([], [HERE])) == 0.0
    assert precision(judged([(THERE, 0.9)], [HERE])) == 0.0


def test_an_overlap_of_one_half_counts_and_less_does_not() -> None:
    assert precision(judged([(HALF_HERE, 0.9)], [HERE])) == 1.0
    assert precision(judged([((0, 0, 10, 4.9), 0.9)], [HERE])) == 0.0


def test_half_of_the_boxes_found_reads_fifty_one_of_the_hundred_and_one_points() -> None:
    assert precision(judged([(HERE, 0.9)], [HERE, THERE])) == pytest.approx(51 / 101)


def test_a_false_alarm_costs_only_what_comes_after_it() -> None:
    false: Box = (200, 200, 210, 210)
    assert precision(judged([(HERE, 0.9), (THERE, 0.8), (false, 0.1)], [HERE, THERE])) == 1.0
    after = precision(judged([(HERE, 0.9), (false, 0.8), (THERE, 0.7)], [HERE, THERE]))
    assert after == pytest.approx((51 * 1.0 + 50 * 2 / 3) / 101)
    before = precision(judged([(false, 0.95), (HERE, 0.9), (THERE, 0.8)], [HERE, THERE]))
    assert before == pytest.approx(2 / 3)


def test_a_second_detection_of_the_same_box_is_a_false_alarm() -> None:
    twice = precision(judged([(HERE, 0.9), (NEARLY_HERE, 0.8), (THERE, 0.7)], [HERE, THERE]))
    assert twice == pytest.approx((51 * 1.0 + 50 * 2 / 3) / 101)


def test_each_detection_takes_the_box_it_overlaps_most() -> None:
    assert precision(judged([(HERE, 0.9), (HALF_HERE, 0.8)], [HALF_HERE, HERE])) == 1.0


def test_scores_are_ordered_across_pictures() -> None:
    good, bad = judged([(HERE, 0.3)], [HERE]), judged([(THERE, 0.9)], [HERE])
    assert precision(good, bad) == pytest.approx(51 / 101 / 2)


def test_detections_in_a_crowd_neither_help_nor_harm() -> None:
    crowd: Box = (100, 100, 200, 200)
    inside: Box = (110, 110, 120, 120)
    assert precision(judged([(inside, 0.99), (inside, 0.98), (HERE, 0.9)], [HERE], [crowd])) == 1.0
    assert precision(judged([(inside, 0.99), (HERE, 0.9)], [HERE])) == pytest.approx(0.5)


def test_a_class_that_is_only_a_crowd_is_not_there() -> None:
    with pytest.raises(InputError, match="hold no boxes of classes the model knows"):
        average_precision50([judged([(HERE, 0.9)], [], [HERE])])


def test_the_mean_is_over_the_classes_that_are_there() -> None:
    found = average_precision50(
        [judged([(HERE, 0.9)], [HERE], class_id=3), judged([], [HERE], class_id=5), judged([(HERE, 0.9)], class_id=8)]
    )
    assert found.by_class == {3: 1.0, 5: 0.0}
    assert found.mean == 0.5


def test_only_the_best_hundred_of_a_picture_count() -> None:
    false = [((100.0 + 20 * i, 0, 110.0 + 20 * i, 10), 0.5) for i in range(100)]
    assert precision(judged([*false, (HERE, 0.4)], [HERE])) == 0.0
    assert precision(judged([*false[:99], (HERE, 0.4)], [HERE])) == pytest.approx(0.01)


def slow_precision(pictures: Sequence[Judged]) -> float:
    """One class, no crowds, written as the definition is spoken."""
    rows = sorted(((s, p, i) for p, pic in enumerate(pictures) for i, s in enumerate(pic.scores)), key=lambda row: -row[0])
    taken: set[tuple[int, int]] = set()
    truths = sum(len(picture.true_boxes) for picture in pictures)
    points, right = [], 0
    for rank, (_, p, i) in enumerate(rows, start=1):
        best, chosen = 0.5, -1
        for t, true in enumerate(pictures[p].true_boxes.astype(float)):
            box = pictures[p].boxes[i].astype(float)
            width, height = min(box[2], true[2]) - max(box[0], true[0]), min(box[3], true[3]) - max(box[1], true[1])
            shared = max(width, 0) * max(height, 0)
            union = (box[2] - box[0]) * (box[3] - box[1]) + (true[2] - true[0]) * (true[3] - true[1]) - shared
            if (p, t) not in taken and union > 0 and (shared / union > best or (shared / union == best and chosen < 0)):
                best, chosen = shared / union, t
        if chosen >= 0:
            taken.add((p, chosen))
            right += 1
        points.append((right / truths, right / rank))
    return sum(max((pr for rc, pr in points if rc >= r), default=0) for r in np.linspace(0, 1, 101)) / 101


box = st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(1, 9), st.integers(1, 9)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(
    st.lists(st.tuples(st.lists(box, max_size=6), st.lists(box, min_size=1, max_size=4)), min_size=1, max_size=3), st.randoms()
)
@settings(max_examples=100, deadline=None)
def test_precision_agrees_with_its_definition(pictures: list[tuple[list[Box], list[Box]]], random: object) -> None:
    total = sum(len(found) for found, _ in pictures)
    scores = list(np.linspace(0.1, 0.9, max(total, 1)))
    random.shuffle(scores)  # type: ignore[attr-defined]
    given_pictures = [judged([(b, scores.pop()) for b in found], true) for found, true in pictures]
    assert precision(*given_pictures) == pytest.approx(slow_precision(given_pictures))
