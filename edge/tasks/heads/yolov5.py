"""YOLOv5 and YOLOv7 with anchors: one row per anchor, three to a cell: centre x, y, width, height, objectness, class scores.

Boxes come out decoded, in pixels of the input, or, in TFLite exports, as shares of it; scores are probabilities already.
Layout as in Ultralytics' documentation of YOLOv5 exports (1 x anchors x (5 + classes)); letterbox of grey 114, RGB, 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import (
    Arrays,
    Candidates,
    Floats,
    ImageInput,
    Recognised,
    array_shaped,
    corners,
    fitting_strides,
    image_input,
    in_pixels,
    worth,
)
from edgekit.tasks.heads.yolov8 import prepared
from edgekit.tasks.labels import default_labels

STRIDES = ((8, 16, 32), (8, 16, 32, 64))
ANCHORS = 3
"""Anchors to a cell."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, 3 * cells, 5 + classes] whose cells are those of the input's size."""
    picture = image_input(inputs)
    if picture is None or len(outputs) != 1 or not has_anchors(picture, outputs[0]) or outputs[0].shape[2] < 6:
        return None
    return prepared(picture), Postprocess(task="detection", head="yolov5", labels=default_labels(outputs[0].shape[2] - 5))


def has_anchors(picture: ImageInput, output: TensorSpec) -> bool:
    """Whether an output is three rows for each cell of the grids over a coloured picture."""
    if picture.channels != 3 or len(output.shape) != 3 or output.shape[0] != 1 or output.shape[1] % ANCHORS:
        return False
    return fitting_strides(picture.height, picture.width, output.shape[1] // ANCHORS, STRIDES) is not None


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Anchors whose objectness times best class score reaches the threshold, as boxes in pixels of the input."""
    rows = array_shaped(outputs, "yolov5", (1, None, 5 + len(postprocess.labels)))[0].astype(np.float32)
    return candidates(rows, preprocess, postprocess)[0]


def candidates(rows: Floats, preprocess: Preprocess, postprocess: Postprocess) -> tuple[Candidates, NDArray[np.intp]]:
    """(candidates, the anchor of each) from rows [anchors, 5 + classes and more]."""
    scores = rows[:, 4:5] * rows[:, 5 : 5 + len(postprocess.labels)]
    likely = np.flatnonzero(scores.max(axis=1) >= postprocess.score_threshold)
    row, class_id = np.nonzero(worth(scores[likely], postprocess))
    anchor = likely[row]
    boxes = in_pixels(rows[:, :4], preprocess)[anchor]
    found = Candidates(
        boxes=corners(boxes[:, :2], boxes[:, 2:]), scores=scores[anchor, class_id], class_ids=class_id.astype(np.int64)
    )
    return found, anchor
