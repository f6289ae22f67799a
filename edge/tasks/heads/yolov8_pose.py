"""YOLOv8-pose and YOLO11-pose: one column per cell: centre x, y, width, height, score of a person, 17 times x, y and how sure.

The points are those of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, the left one first. Everything is
decoded, in pixels of the input, or, in TFLite exports, as shares of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import SHARE_LIMIT, Arrays, Candidates, Floats, Recognised, array_shaped, image_input
from edgekit.tasks.heads.yolov8 import POSE, candidates, has_cells, prepared

FIRST = 5
"""Rows before the points."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, 4 + 1 + 17 x 3, cells] whose cells are those of the input's size."""
    picture = image_input(inputs)
    if picture is None or len(outputs) != 1 or not has_cells(picture, outputs[0]) or outputs[0].shape[1] != POSE:
        return None
    return prepared(picture), Postprocess(task="detection", head="yolov8_pose", labels=("person",))


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """People whose score reaches the threshold, with keypoints [N, 17, 3]; all in pixels of the input."""
    columns = array_shaped(outputs, "yolov8_pose", (1, POSE, None))[0].astype(np.float32)
    found, cell = candidates(columns, preprocess, postprocess)
    return replace(found, keypoints=keypoints(columns[FIRST:].T[cell], columns[:4], preprocess))


def keypoints(rows: Floats, boxes: Floats, preprocess: Preprocess) -> Floats:
    """[N, K, 3] in pixels of the input from rows [N, 3K]; they are shares of it where all of the boxes are."""
    points = rows.reshape(len(rows), -1, 3).astype(np.float32)
    if float(boxes.max(initial=0.0)) > SHARE_LIMIT:
        return points
    scaled: Floats = points * np.array([preprocess.width, preprocess.height, 1], np.float32)
    return scaled
