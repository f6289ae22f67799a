"""YOLOv8, YOLO11 and the anchor-free YOLOv5u: one column per cell of the grids: centre x, y, width, height, class scores.

Boxes come out decoded, in pixels of the input, or, in TFLite exports, as shares of it; scores are probabilities already. YOLO26 gives the
same when it is exported with its one-to-many head. Layout as in Ultralytics' documentation of its exports ("output0", 1 x (4 + classes)
x cells); letterbox of grey 114, RGB, 0..1.
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
from edgekit.tasks.labels import default_labels

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
POSE = 4 + 1 + 17 * 3
"""Rows of a pose model (see yolov8_pose.py), which are taken for that rather than for 52 classes."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, 4 + classes, cells] whose cells are those of the input's size."""
    picture = image_input(inputs)
    if picture is None or len(outputs) != 1 or not has_cells(picture, outputs[0]):
        return None
    classes = outputs[0].shape[1] - 4
    if classes < 1 or outputs[0].shape[1] == POSE:
        return None
    return prepared(picture), Postprocess(task="detection", head="yolov8", labels=default_labels(classes))


def has_cells(picture: ImageInput, output: TensorSpec) -> bool:
    """Whether an output is one column for each cell of the grids over a coloured picture."""
    if picture.channels != 3 or len(output.shape) != 3 or output.shape[0] != 1:
        return False
    return fitting_strides(picture.height, picture.width, output.shape[2], STRIDES) is not None


def prepared(picture: ImageInput) -> Preprocess:
    """How these models are trained to see a picture."""
    return Preprocess(
        input=picture.name,
        height=picture.height,
        width=picture.width,
        layout=picture.layout,
        resize="letterbox",
        pad_value=114.0,
        scale=1 / 255,
    )


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Cells whose best class score reaches the threshold, as boxes in pixels of the input."""
    columns = array_shaped(outputs, "yolov8", (1, 4 + len(postprocess.labels), None))[0].astype(np.float32)
    return candidates(columns, preprocess, postprocess)[0]


def candidates(columns: Floats, preprocess: Preprocess, postprocess: Postprocess) -> tuple[Candidates, NDArray[np.intp]]:
    """(candidates, the cell of each) from columns [4 + classes and more, cells]."""
    scores = columns[4 : 4 + len(postprocess.labels)].T
    likely = np.flatnonzero(scores.max(axis=1) >= postprocess.score_threshold)
    row, class_id = np.nonzero(worth(scores[likely], postprocess))
    cell = likely[row]
    boxes = in_pixels(columns[:4].T, preprocess)[cell]
    found = Candidates(
        boxes=corners(boxes[:, :2], boxes[:, 2:]), scores=scores[cell, class_id], class_ids=class_id.astype(np.int64)
    )
    return found, cell
