"""Suppression keeps the best box of each heap, within each class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.tasks.detection import area, intersection, iou, nms

coordinate = st.integers(0, 30)
boxes_of_some_class = st.lists(
    st.tuples(coordinate, coordinate, st.integers(0, 15), st.integers(0, 15), st.integers(0, 100), st.integers(0, 2)),
    max_size=30,
)


def overlaps(a: list[float], b: list[float], threshold: float) -> bool:
    """Whether intersection over union is above the threshold, without a division: at the threshold itself its rounding would decide."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared > threshold * ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_nms(boxes: NDArray[np.float32], scores: NDArray[np.float32], ids: NDArray[np.int64], threshold: float) -> list[int]:
    """One box after the other, best first: it stays when no box that stayed and is of its class overlaps it too much."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        here = boxes[index].tolist()
        if not any(ids[index] == ids[other] and overlaps(here, boxes[other].tolist(), threshold) for other in kept):
            kept.append(index)
    return kept


@given(boxes_of_some_class, st.sampled_from([0.0, 0.3, 0.45, 0.5, 0.9, 1.0]))
@settings(max_examples=200, deadline=None)
def test_suppression_agrees_with_the_slow_way(rows: list[tuple[int, ...]], threshold: float) -> None:
    table = np.array(rows, np.float32).reshape(-1, 6)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    scores, ids = table[:, 4] / 100, table[:, 5].astype(np.int64)
    wanted = slow_nms(boxes, scores, ids, threshold)
    assert nms(boxes, scores, ids, threshold).tolist() == wanted
    few = [index for place, index in enumerate(wanted) if sum(ids[other] == ids[index] for other in wanted[:place]) < 2]
    assert nms(boxes, scores, ids, threshold, most=2).tolist() == few


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9], np.float32)
    assert nms(boxes, scores, np.array([0, 1]), 0.5).tolist() == [1, 0]
    assert nms(boxes, scores, np.array([1, 1]), 0.5).tolist() == [1]


def test_nothing_in_nothing_out() -> None:
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5).size == 0


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        pytest.param((0, 0, 10, 10), (0, 0, 10, 10), 1.0, id="the same"),
        pytest.param((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3, id="half aside"),
        pytest.param((0, 0, 10, 10), (10, 0, 20, 10), 0.0, id="touching"),
        pytest.param((0, 0, 10, 10), (2, 2, 4, 4), 0.04, id="inside"),
        pytest.param((3, 3, 3, 3), (3, 3, 3, 3), 0.0, id="without area"),
    ],
)
def test_overlap_is_intersection_over_union(first: tuple[int, ...], second: tuple[int, ...], overlap: float) -> None:
    one, other = np.array([first], np.float32), np.array([second], np.float32)
    assert iou(one, other)[0, 0] == pytest.approx(overlap)
    assert iou(other, one)[0, 0] == pytest.approx(overlap)
    assert intersection(one, other)[0, 0] <= min(area(one)[0], area(other)[0])
