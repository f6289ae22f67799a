"""YOLOX: one row per cell of the strides 8, 16, 32 (and 64 for P6 models): x, y, w, h, objectness, class scores.

Source: Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430); layout and letterbox as in the Apache-2.0
repository Megvii-BaseDetection/YOLOX (yolox/utils/demo_utils.py, yolox/data/data_augment.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import (
    Arrays,
    Candidates,
    Floats,
    Recognised,
    array_shaped,
    cells,
    corners,
    count_cells,
    exponential,
    fitting_strides,
    image_input,
    worth,
)
from edgekit.tasks.labels import default_labels

STRIDES = ((8, 16, 32), (8, 16, 32, 64))
RAW_OFFSET_LIMIT = 16
"""Raw centres are offsets of a few cells; decoded ones are pixels. Their median separates the two by far."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, cells, 5 + classes] whose cells are those of the input's size."""
    picture = image_input(inputs)
    if picture is None or picture.channels != 3 or len(outputs) != 1 or len(outputs[0].shape) != 3:
        return None
    batch, count, columns = outputs[0].shape
    if batch != 1 or columns < 6 or fitting_strides(picture.height, picture.width, count, STRIDES) is None:
        return None
    preprocess = Preprocess(
        input=picture.name,
        height=picture.height,
        width=picture.width,
        layout=picture.layout,
        color="bgr",
        resize="letterbox",
        pad_value=114.0,
    )
    return preprocess, Postprocess(task="detection", head="yolox", labels=default_labels(columns - 5))


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Cells whose objectness times best class score reaches the threshold; centres and sizes decoded where still raw.

    With the parameter `every_class` a cell gives one candidate for each class that reaches it, which is how COCO's
    precision is measured; without it one box has one label.
    """
    height, width = preprocess.height, preprocess.width
    counts = [count_cells(height, width, strides) for strides in STRIDES]
    columns = 5 + len(postprocess.labels)
    rows = array_shaped(outputs, "yolox", *((1, count, columns) for count in counts))[0].astype(np.float32)
    scores = rows[:, 4:5] * rows[:, 5:]
    likely = np.flatnonzero(scores.max(axis=1) >= postprocess.score_threshold)
    row, class_id = np.nonzero(worth(scores[likely], postprocess))
    cell = likely[row]
    grid = cells(height, width, STRIDES[counts.index(len(rows))])[cell]
    return Candidates(
        boxes=_boxes(rows[cell, :4], grid, raw=float(np.median(np.abs(rows[:, :2]))) <= RAW_OFFSET_LIMIT),
        scores=scores[cell, class_id],
        class_ids=class_id.astype(np.int64),
    )


def _boxes(rows: Floats, grid: Floats, *, raw: bool) -> Floats:
    """Exports made with `--decode_in_inference` hold pixels already; the others offsets and logarithms in cells."""
    if not raw:
        return corners(rows[:, :2], rows[:, 2:])
    stride = grid[:, 2:]
    return corners((rows[:, :2] + grid[:, :2]) * stride, exponential(rows[:, 2:]) * stride)
