"""YOLO26-pose and pose models exported with their suppression inside: the rows of yolov10.py, each ending in 17 points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, Recognised, array_shaped, image_input
from edgekit.tasks.heads.yolov8 import prepared
from edgekit.tasks.heads.yolov8_pose import keypoints
from edgekit.tasks.heads.yolov10 import COLUMNS, candidates, described, has_rows

POSE = COLUMNS + 17 * 3


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, rows, 6 + 17 x 3]."""
    picture = image_input(inputs)
    if picture is None or len(outputs) != 1 or not has_rows(picture, outputs[0], POSE):
        return None
    return prepared(picture), described("yolov10_pose", ("person",))


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """People whose score reaches the threshold, with keypoints [N, 17, 3]; all in pixels of the input."""
    rows = array_shaped(outputs, "yolov10_pose", (1, None, POSE))[0].astype(np.float32)
    found, kept = candidates(rows, preprocess, postprocess)
    return replace(found, keypoints=keypoints(rows[kept, COLUMNS:], rows[:, :4], preprocess))
