"""MoveNet for one person: 17 points of y, x and how sure, as shares of the input.

The points are those of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, the left one first. A picture is
padded to a square and kept as bytes. Source: the model card "MoveNet.SinglePose" (Google, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, Floats, Recognised, array_shaped, image_input

POINTS = 17
SEEN = 0.2
"""How sure the model must be of a point for it to count as part of the person."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, 1, 17, 3] from a coloured picture."""
    picture = image_input(inputs)
    if picture is None or picture.channels != 3 or [spec.shape for spec in outputs] != [(1, 1, POINTS, 3)]:
        return None
    preprocess = Preprocess(
        input=picture.name, height=picture.height, width=picture.width, layout=picture.layout, resize="letterbox-center"
    )
    return preprocess, Postprocess(task="detection", head="movenet", labels=("person",), score_threshold=SEEN)


def joints(outputs: Arrays) -> Floats:
    """[17, 3] of x, y (shares of the input) and how sure."""
    found: Floats = people(outputs, 1)[0]
    return found


def people(outputs: Arrays, count: int) -> Floats:
    """[count, 17, 3], one for each picture of a batch: x, y (shares of the input) and how sure."""
    points = array_shaped(outputs, "movenet", (count, 1, POINTS, 3), (count, POINTS, 3)).astype(np.float32)
    return points.reshape(count, POINTS, 3)[:, :, [1, 0, 2]]


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """One person with keypoints [1, 17, 3] where their mean certainty reaches the threshold, else none; boxed by the points seen."""
    keypoints = joints(outputs)[None] * np.array([preprocess.width, preprocess.height, 1], np.float32)
    score = keypoints[:, :, 2].mean(axis=1)
    seen = keypoints[0, keypoints[0, :, 2] >= SEEN, :2]
    kept = np.flatnonzero(score >= postprocess.score_threshold) if len(seen) else np.zeros(0, np.intp)
    box = np.concatenate([seen.min(axis=0), seen.max(axis=0)]) if len(seen) else np.zeros(4, np.float32)
    return Candidates(
        boxes=box.reshape(1, 4)[kept].astype(np.float32),
        scores=score[kept],
        class_ids=np.zeros(len(kept), np.int64),
        keypoints=keypoints[kept],
    )
