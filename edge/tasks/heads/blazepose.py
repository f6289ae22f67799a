"""BlazePose as MediaPipe's pose landmarker gives it: up to some people with 33 points each, of which 17 are COCO's.

A point is x and y (shares of the picture), z, how likely it is not hidden, and how likely it lies in the picture. The order of the 33 is
that of MediaPipe's documentation ("Pose landmark detection guide"): nose, eyes from the inside out, ears, mouth, then limbs, the left one
first. Networks: Bazarevsky et al., "BlazePose: On-device Real-time Body Pose tracking" (arXiv:2006.10204).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, Floats, Recognised, array_shaped, image_input

POINTS, VALUES = 33, 5
COCO = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Of the 33 those that COCO has, in its order."""
NOT_HIDDEN, INSIDE = 3, 4
SEEN = 0.2
"""Points of a lower score do not count for a person's box."""
NOTHING_SUPPRESSED = 1.0


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """[1, people, 33, 5], the same in metres [1, people, 33, 3], and how many there are [1]; from a coloured picture."""
    picture = image_input(inputs)
    most = next((spec.shape[1] for spec in outputs if len(spec.shape) == 4), 0)
    if picture is None or picture.channels != 3 or picture.layout != "nhwc":
        return None
    if sorted(spec.shape for spec in outputs) != [(1,), (1, most, POINTS, 3), (1, most, POINTS, VALUES)]:
        return None
    preprocess = Preprocess(
        input=picture.name, height=picture.height, width=picture.width, layout=picture.layout, resize="letterbox-center"
    )
    return preprocess, Postprocess(
        task="detection",
        head="blazepose",
        labels=("person",),
        score_threshold=SEEN,
        iou_threshold=NOTHING_SUPPRESSED,
    )


def people(outputs: Arrays) -> Floats:
    """[N, 17, 3] of x, y (shares of the input) and how sure: a joint counts as much as it is in the picture and not hidden."""
    rows = array_shaped(outputs, "blazepose", (1, None, POINTS, VALUES))[0].astype(np.float32)
    count = int(array_shaped(outputs, "blazepose", (1,))[0])
    points = rows[: max(count, 0), COCO]
    sure = points[:, :, [NOT_HIDDEN, INSIDE]].min(axis=2, keepdims=True)
    return np.concatenate([points[:, :, :2], sure], axis=2)


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """People with keypoints [N, 17, 3] whose mean certainty reaches the threshold, boxed by the points seen."""
    keypoints = people(outputs) * np.array([preprocess.width, preprocess.height, 1], np.float32)
    scores = keypoints[:, :, 2].mean(axis=1)
    kept = np.flatnonzero((scores >= postprocess.score_threshold) & (keypoints[:, :, 2] >= SEEN).any(axis=1))
    boxes = [_box(points) for points in keypoints[kept]]
    return Candidates(
        boxes=np.array(boxes, np.float32).reshape(len(kept), 4),
        scores=scores[kept],
        class_ids=np.zeros(len(kept), np.int64),
        keypoints=keypoints[kept],
    )


def _box(points: Floats) -> Floats:
    seen = points[points[:, 2] >= SEEN, :2]
    return np.concatenate([seen.min(axis=0), seen.max(axis=0)])
