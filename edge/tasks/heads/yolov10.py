"""YOLOv10, YOLO26 and any YOLO exported with its suppression inside: rows of x1, y1, x2, y2, score, class, best first.

No two rows are of one thing, so none is suppressed. How many classes there are cannot be told from the shape: they are numbered unless
the model's file names them. YOLO26's pose and segmentation models end each row in points or in mask coefficients; see yolov10_pose.py
and yolov10_seg.py. Source: Wang et al., "YOLOv10: Real-Time End-to-End Object Detection" (arXiv 2405.14458).
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
    fitting_strides,
    image_input,
    in_pixels,
)
from edgekit.tasks.heads.yolov8 import STRIDES, prepared

COLUMNS = 6
COUNTS = range(20, 1001)
"""Rows that such models have: 300 as a rule."""
ANCHORS = (1, 3)
"""Rows to a cell of the grids of other heads."""
NOTHING_SUPPRESSED = 1.0


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, rows, 6], of which there are few, and other than the cells or the anchors of a grid."""
    picture = image_input(inputs)
    if picture is None or len(outputs) != 1 or not has_rows(picture, outputs[0], COLUMNS):
        return None
    return prepared(picture), described("yolov10", ())


def has_rows(picture: ImageInput, output: TensorSpec, columns: int) -> bool:
    """Whether an output is so many columns for each of a few things found in a coloured picture, not for each cell of a grid."""
    if picture.channels != 3 or len(output.shape) != 3 or output.shape[0] != 1 or output.shape[2] != columns:
        return False
    count = output.shape[1]
    of_a_grid = (fitting_strides(picture.height, picture.width, count // n, STRIDES) for n in ANCHORS if count % n == 0)
    return count in COUNTS and not any(of_a_grid)


def described(head: str, labels: tuple[str, ...]) -> Postprocess:
    """How such outputs are read."""
    return Postprocess(task="detection", head=head, labels=labels, iou_threshold=NOTHING_SUPPRESSED)


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Rows whose score reaches the threshold, as boxes in pixels of the input."""
    rows = array_shaped(outputs, "yolov10", (1, None, COLUMNS))[0].astype(np.float32)
    return candidates(rows, preprocess, postprocess)[0]


def candidates(rows: Floats, preprocess: Preprocess, postprocess: Postprocess) -> tuple[Candidates, NDArray[np.intp]]:
    """(candidates, the row of each) from rows of corners, score, class and more."""
    kept = np.flatnonzero(rows[:, 4] >= postprocess.score_threshold)
    found = Candidates(
        boxes=in_pixels(rows[:, :4], preprocess)[kept],
        scores=rows[kept, 4],
        class_ids=np.maximum(np.rint(rows[kept, 5]), 0).astype(np.int64),
    )
    return found, kept
