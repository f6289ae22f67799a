"""FastestDet: one grid of stride 16; each cell holds objectness, x, y, w, h and softmaxed class scores.

Source: the BSD-3 repository dog-qiuqiu/FastestDet, `handle_preds` in utils/tool.py: score = objectness^0.6 * class^0.4,
centre = (cell + tanh) / grid, size = sigmoid as a share of the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, Recognised, array_shaped, cells, corners, image_input, sigmoid
from edgekit.tasks.labels import default_labels

STRIDE = 16
OBJECTNESS_POWER, CLASS_POWER = 0.6, 0.4


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """One output [1, 5 + classes, height / 16, width / 16] (or with the channels last)."""
    picture = image_input(inputs)
    if picture is None or picture.channels != 3 or len(outputs) != 1 or len(outputs[0].shape) != 4:
        return None
    grid = (picture.height // STRIDE, picture.width // STRIDE)
    batch, *shape = outputs[0].shape
    classes = shape[0] - 5 if tuple(shape[1:]) == grid else shape[2] - 5 if tuple(shape[:2]) == grid else 0
    if batch != 1 or classes < 1 or min(grid) < 2:
        return None
    preprocess = Preprocess(
        input=picture.name, height=picture.height, width=picture.width, layout=picture.layout, color="bgr", scale=1 / 255
    )
    return preprocess, Postprocess(task="detection", head="fastestdet", labels=default_labels(classes), score_threshold=0.5)


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Cells whose score reaches the threshold, as boxes in pixels of the input."""
    rows, columns = preprocess.height // STRIDE, preprocess.width // STRIDE
    channels = 5 + len(postprocess.labels)
    array = array_shaped(outputs, "fastestdet", (1, channels, rows, columns), (1, rows, columns, channels))[0]
    planes = array.transpose(2, 0, 1) if array.shape[:2] == (rows, columns) else array
    plane = planes.reshape(channels, -1).astype(np.float32, copy=False)
    best = np.maximum(plane[5:].max(axis=0), 0)  # over whole planes, which numpy does many numbers at a time
    scores = np.maximum(plane[0], 0) ** OBJECTNESS_POWER * best**CLASS_POWER
    kept = np.flatnonzero(scores >= postprocess.score_threshold)
    size = np.array([preprocess.width, preprocess.height], dtype=np.float32)
    grid, cell = cells(preprocess.height, preprocess.width, (STRIDE,))[kept], plane[:, kept]
    centres = (grid[:, :2] + np.tanh(cell[1:3].T)) / (columns, rows) * size
    return Candidates(
        boxes=corners(centres, sigmoid(cell[3:5].T) * size),
        scores=scores[kept],
        class_ids=cell[5:].argmax(axis=0),
    )
