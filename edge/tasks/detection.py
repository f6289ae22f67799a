"""Boxes in a picture: decoded, suppressed and mapped back to its pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, Unsupported
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.tasks.decoding.head import Candidates, Floats, MaskParts
from edgekit.tasks.decoding.masks import assembled
from edgekit.tasks.decoding.recognise import head
from edgekit.tasks.labels import label_of
from edgekit.tasks.pictures.preprocess import Placement

CANDIDATE_LIMIT = 3000
"""Suppression looks at this many best candidates; far more than any of the known models gives at a score of 0.01."""
NMS_BLOCK = 128
"""Candidates whose overlaps are computed at once: numpy's calls cost more than a frame's few dozen boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """What was found, as columns, best first.

    `boxes` float32 [N, 4] (x1, y1, x2, y2) and `landmarks` float32 [N, K, 2] are in pixels of the picture, `scores` float32
    [N] in 0..1, `class_ids` int64 [N] and `labels` name the classes. `keypoints` float32 [N, K, 3] are x and y in pixels and how
    sure the model is (0..1); `masks` bool [N, height, width] cover the picture, and `parts` is what they are put together from.
    """

    boxes: Floats
    scores: Floats
    class_ids: NDArray[np.int64]
    labels: tuple[str, ...]
    landmarks: Floats | None = None
    keypoints: Floats | None = None
    masks: NDArray[np.bool_] | None = None
    parts: MaskParts | None = None

    def __len__(self) -> int:
        return len(self.scores)


def detect(
    outputs: Mapping[str, NDArray[Any]],
    postprocess: Postprocess,
    preprocess: Preprocess,
    placement: Placement,
    *,
    most: int = CANDIDATE_LIMIT,
    masks: bool = False,
    wanted: NDArray[np.int64] | None = None,
) -> Detections:
    """What the model's `outputs` (by source name, floats) show, in pixels of the picture that was prepared.

    At most `most` of each class; with `wanted` (class ids) of these classes alone, which spares the suppression of others. `masks` are
    put together when they are asked for, since each is as large as the picture. Raises `Unsupported` when the model classifies or its
    head is unknown, `InputError` when an output has other shapes than the head has or holds NaN.
    """
    if postprocess.task != "detection":
        raise Unsupported(f"this model does {postprocess.task}, not detection", "which model finds boxes?")
    _refuse_nan(outputs)
    candidates: Candidates = head(postprocess.head).decode(outputs, preprocess, postprocess)
    kept = _suppressed(candidates, postprocess.iou_threshold, most, wanted)
    boxes = placement.boxes_to_image(candidates.boxes[kept])
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept, boxes = kept[seen], boxes[seen]
    class_ids = candidates.class_ids[kept]
    parts = candidates.masks
    return Detections(
        boxes=boxes,
        scores=np.minimum(candidates.scores[kept], 1).astype(np.float32),
        class_ids=class_ids,
        labels=tuple(label_of(postprocess.labels, index) for index in class_ids),
        landmarks=None if candidates.landmarks is None else placement.points_to_image(candidates.landmarks[kept]),
        keypoints=None if candidates.keypoints is None else _in_picture(candidates.keypoints[kept], placement),
        masks=assembled(parts, kept, boxes, preprocess, placement) if masks and parts is not None else None,
        parts=None if parts is None else replace(parts, coefficients=parts.coefficients[kept]),
    )


def _suppressed(candidates: Candidates, iou_threshold: float, most: int, wanted: NDArray[np.int64] | None) -> NDArray[np.intp]:
    """Positions of the candidates of the wanted classes that stay."""
    boxes, scores, class_ids = candidates.boxes, candidates.scores, candidates.class_ids
    if wanted is None:
        return nms(boxes, scores, class_ids, iou_threshold, most=most)
    among = np.flatnonzero(np.isin(class_ids, wanted))
    return among[nms(boxes[among], scores[among], class_ids[among], iou_threshold, most=most)]


def _in_picture(keypoints: Floats, placement: Placement) -> Floats:
    """[N, K, 3] with the places in pixels of the picture; how sure each is stays."""
    places = placement.points_to_image(keypoints[..., :2])
    found: Floats = np.concatenate([places, np.clip(keypoints[..., 2:], 0, 1)], axis=-1).astype(np.float32)
    return found


def nms(
    boxes: Floats, scores: Floats, class_ids: NDArray[np.int64], iou_threshold: float, *, most: int = CANDIDATE_LIMIT
) -> NDArray[np.intp]:
    """Greedy suppression within each class: positions of the boxes [N, 4] that stay, best first.

    A box goes when its overlap (intersection over union) with a better one of its class is above `iou_threshold`. Equal
    scores keep their order. Only the best `CANDIDATE_LIMIT` boxes are looked at, and only the best `most` of a class stay.
    """
    order = np.argsort(-scores, kind="stable")[:CANDIDATE_LIMIT]
    edges, ids = boxes[order].astype(np.float64), class_ids[order]
    alive = np.ones(len(order), dtype=np.bool_)
    kept: Counter[int] = Counter()
    for start in range(0, len(order), NMS_BLOCK):
        rest = start + np.flatnonzero(alive[start:])
        block = rest[: int(np.searchsorted(rest, start + NMS_BLOCK))]
        near = _too_near(edges[block], edges[rest], iou_threshold) & (ids[block][:, None] == ids[rest])
        worse = np.triu(near, 1)
        for row, (best, class_id, covers) in enumerate(
            zip(block, ids[block].tolist(), worse.any(axis=1).tolist(), strict=True)
        ):
            if not alive[best]:
                continue
            if covers:
                alive[rest[worse[row]]] = False
            kept[class_id] += 1
            if kept[class_id] == most:
                alive[best + 1 :] &= ids[best + 1 :] != class_id
    return order[alive]


def _too_near(first: NDArray[np.float64], second: NDArray[np.float64], iou_threshold: float) -> NDArray[np.bool_]:
    """Which pairs of boxes [N, 4] and [M, 4] overlap more than that: [N, M]. One array a side, since numpy is slow on short axes."""
    left, top, right, bottom = first.T[:, :, None]
    lefts, tops, rights, bottoms = second.T
    shared = np.minimum(right, rights) - np.maximum(left, lefts)
    tall = np.minimum(bottom, bottoms) - np.maximum(top, tops)
    shared = np.maximum(shared, 0, out=shared) * np.maximum(tall, 0, out=tall)
    nearer: NDArray[np.bool_] = shared > iou_threshold * (area(first)[:, None] + area(second) - shared)
    return nearer


def iou(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Intersection over union of every box of `first` [N, 4] with every one of `second` [M, 4]: [N, M], 0 for empty boxes."""
    shared = intersection(first, second)
    union = area(first)[:, None] + area(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def intersection(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Shared area of every pair of boxes: [N, M] in square pixels."""
    one, other = first[:, None].astype(np.float64), second[None].astype(np.float64)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared: NDArray[np.float64] = np.clip(sides, 0, None).prod(axis=-1)
    return shared


def area(boxes: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Area of each box [N, 4], 0 when its corners are swapped."""
    square: NDArray[np.float64] = np.clip(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0, None).prod(axis=-1)
    return square


def _refuse_nan(outputs: Mapping[str, NDArray[Any]]) -> None:
    for name, array in outputs.items():
        wrong = int(np.isnan(array).sum())
        if wrong:
            raise InputError(
                f"output {name!r} holds {wrong} NaN among {array.size} values", "does the source model give them too?"
            )
