"""How good answers are: top-1 accuracy, and average precision at an overlap of one half."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.tasks.detection import area, intersection, iou

RECALL_POINTS = np.linspace(0, 1, 101)
DETECTIONS_PER_CLASS = 100
OVERLAP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One picture: what was found (float32 boxes [N, 4], scores [N], class ids [N]) and what is there (the `true_` ones)."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    true_boxes: NDArray[np.float32]
    true_class_ids: NDArray[np.int64]
    true_crowd: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePrecision:
    """The mean over the classes that are present, and each of these by its id; all in 0..1."""

    mean: float
    by_class: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matches:
    """The detections of one class in one picture, best first: score, whether each is right, and whether it counts at all."""

    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    counts: NDArray[np.bool_]


def top1(predicted: Sequence[int], truth: Sequence[int]) -> float:
    """The share of predictions that are right. Raises `InputError` when there are none or their numbers differ."""
    if len(predicted) != len(truth) or not len(truth):
        raise InputError(f"{len(predicted)} predictions for {len(truth)} labels", "is the data set empty?")
    return float(np.mean(np.asarray(predicted) == np.asarray(truth)))


def average_precision50(pictures: Iterable[Judged]) -> AveragePrecision:
    """COCO's AP at IoU 0.5 (https://cocodataset.org/#detection-eval), over the classes with at least one true box.

    Per class and picture the best 100 detections count; each takes the free true box it overlaps most, from 0.5 up. What
    matches only a crowd box neither helps nor harms. Precision is made non-increasing and read at 101 recalls. Raises
    `InputError` when no picture holds a true box.
    """
    judged = list(pictures)
    present = sorted({int(label) for picture in judged for label in picture.true_class_ids[~picture.true_crowd]})
    if not present:
        raise InputError("the pictures hold no boxes of classes the model knows", "is this the right data set?")
    by_class = {class_id: _precision_of_class(judged, class_id) for class_id in present}
    return AveragePrecision(mean=float(np.mean(list(by_class.values()))), by_class=by_class)


def _precision_of_class(pictures: Sequence[Judged], class_id: int) -> float:
    truths = sum(int(np.sum((picture.true_class_ids == class_id) & ~picture.true_crowd)) for picture in pictures)
    matches = [_match(picture, class_id) for picture in pictures if class_id in picture.class_ids]
    if not matches:
        return 0.0
    scores = np.concatenate([match.scores for match in matches])
    right = np.concatenate([match.right for match in matches])
    counts = np.concatenate([match.counts for match in matches])
    order = np.argsort(-scores, kind="stable")
    order = order[counts[order]]
    return _area_under_curve(right[order], truths)


def _area_under_curve(right: NDArray[np.bool_], truths: int) -> float:
    """Mean precision at the 101 recalls; a recall that is never reached has precision 0."""
    found = np.cumsum(right)
    precision = found / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(found / truths, RECALL_POINTS, side="left")
    return float(np.append(envelope, 0.0)[at].mean())


def _match(picture: Judged, class_id: int) -> _Matches:
    """Best first, each detection takes the true box it overlaps most among those still free."""
    mine = np.flatnonzero(picture.class_ids == class_id)
    mine = mine[np.argsort(-picture.scores[mine], kind="stable")][:DETECTIONS_PER_CLASS]
    wanted = picture.true_class_ids == class_id
    boxes, crowds = picture.boxes[mine], picture.true_boxes[wanted & picture.true_crowd]
    overlap = iou(boxes, picture.true_boxes[wanted & ~picture.true_crowd])
    right = _take_best(overlap)
    return _Matches(scores=picture.scores[mine], right=right, counts=right | ~_inside(boxes, crowds))


def _take_best(overlap: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For overlaps [detections, truths]: which detections get a true box of their own."""
    right = np.zeros(len(overlap), dtype=np.bool_)
    free = overlap.copy()
    for index in range(len(free) if free.shape[1] else 0):
        best = int(free[index].argmax())
        if free[index, best] >= OVERLAP:
            right[index] = True
            free[:, best] = -1
    return right


def _inside(boxes: NDArray[np.float32], crowds: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which boxes lie by at least half of their own area in one of the crowds."""
    if not len(crowds):
        return np.zeros(len(boxes), dtype=np.bool_)
    share = intersection(boxes, crowds).max(axis=1) / np.maximum(area(boxes), 1e-9)
    mostly: NDArray[np.bool_] = share >= OVERLAP
    return mostly
