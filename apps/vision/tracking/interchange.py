"""To `supervision.Detections` and back: the same columns under the names its users know."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.apps.vision.tracking.tracks import Boxes, Tracks
from edgekit.core.errors import InputError
from edgekit.core.optional import need


def to_supervision(tracks: Tracks) -> Any:
    """A `supervision.Detections` with `tracker_id`; `data` holds `since_s`, `seen_s` and `fresh`."""
    return need("supervision").Detections(
        xyxy=tracks.boxes.astype(np.float32),
        confidence=tracks.scores.astype(np.float32),
        class_id=tracks.class_ids.astype(int),
        tracker_id=tracks.ids.astype(int),
        data={"since_s": tracks.since_s, "seen_s": tracks.seen_s, "fresh": tracks.fresh},
    )


def from_supervision(detections: Any) -> Boxes:
    """What the tracker takes, out of a `supervision.Detections`; without scores they are 1, without classes 0.

    Raises `InputError` for columns of unequal length and for boxes that are no numbers.
    """
    boxes = np.asarray(detections.xyxy, np.float64).reshape(-1, 4)
    scores = np.ones(len(boxes)) if detections.confidence is None else np.asarray(detections.confidence, np.float64)
    classes = np.zeros(len(boxes), np.int64) if detections.class_id is None else np.asarray(detections.class_id, np.int64)
    if not len(boxes) == len(scores) == len(classes):
        raise InputError(f"{len(boxes)} boxes have {len(scores)} scores and {len(classes)} classes", "one each")
    if not np.isfinite(boxes).all():
        raise InputError("a box holds a number that is not finite", "filter the detections first")
    return Boxes(boxes=boxes, scores=scores, class_ids=classes)
