"""YuNet: for each of the strides 8, 16, 32 a face score, an objectness, a box and five landmarks per cell.

Source: Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector" (2023) and FaceDetectorYN in the Apache-2.0
repository opencv/opencv (modules/objdetect/src/face_detect.cpp): score = sqrt(face * objectness), both kept in 0..1.
The landmarks are right eye, left eye, nose, right and left corner of the mouth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
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
    image_input,
)

STRIDES = (8, 16, 32)
LANDMARKS = 5


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """Twelve outputs: [1, cells, 1] twice, [1, cells, 4] and [1, cells, 10] for every stride."""
    picture = image_input(inputs)
    if picture is None or picture.channels != 3 or picture.height % STRIDES[-1] or picture.width % STRIDES[-1]:
        return None
    counts = [count_cells(picture.height, picture.width, (stride,)) for stride in STRIDES]
    wanted = sorted((1, count, columns) for count in counts for columns in (1, 1, 4, 2 * LANDMARKS))
    if sorted(spec.shape for spec in outputs) != wanted:
        return None
    preprocess = Preprocess(
        input=picture.name,
        height=picture.height,
        width=picture.width,
        layout=picture.layout,
        color="bgr",
        resize="letterbox",
    )
    return preprocess, Postprocess(task="detection", head="yunet", labels=("face",), score_threshold=0.6, iou_threshold=0.3)


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Cells whose score reaches the threshold, with landmarks [N, 5, 2]; all in pixels of the input."""
    height, width = preprocess.height, preprocess.width
    rows = np.concatenate([_rows(outputs, count_cells(height, width, (stride,))) for stride in STRIDES])
    scores = np.sqrt(rows[:, 0])
    kept = np.flatnonzero(scores >= postprocess.score_threshold)
    rows, grid = rows[kept, 1:], cells(height, width, STRIDES)[kept]
    cell, stride = grid[:, :2], grid[:, 2:]
    points = (rows[:, 4:].reshape(-1, LANDMARKS, 2) + cell[:, None]) * stride[:, None]
    return Candidates(
        boxes=corners((rows[:, :2] + cell) * stride, exponential(rows[:, 2:4]) * stride),
        scores=scores[kept],
        class_ids=np.zeros(len(kept), dtype=np.int64),
        landmarks=points,
    )


def _rows(outputs: Arrays, count: int) -> Floats:
    """[cells, 1 + 4 + 10] of one stride: the product of the two scores (their order is of no matter), box, landmarks."""
    box = array_shaped(outputs, "yunet", (1, count, 4))[0]
    points = array_shaped(outputs, "yunet", (1, count, 2 * LANDMARKS))[0]
    return np.concatenate([_score(outputs, count), box, points], axis=1).astype(np.float32)


def _score(outputs: Arrays, count: int) -> NDArray[np.float32]:
    scores = [array[0] for array in outputs.values() if array.shape == (1, count, 1)]
    if len(scores) != 2:
        raise InputError(
            f"the yunet head needs two outputs of shape [1, {count}, 1], found {len(scores)}", "is this the right head?"
        )
    product: Floats = np.clip(scores[0], 0, 1) * np.clip(scores[1], 0, 1)
    return product
