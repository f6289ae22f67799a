"""YOLOv8 and YOLO11 without their decoding: for each stride a map of 4 distributions of 16 distances, and a logit per class.

What exporters for accelerators leave of the head: three outputs, channels first or last. A side of a box is the mean of its distribution,
in strides from the middle of the cell (Li et al., "Generalized Focal Loss", arXiv 2006.04388).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import (
    Arrays,
    Candidates,
    Floats,
    ImageInput,
    Recognised,
    array_shaped,
    cells,
    image_input,
    sigmoid,
    worth,
)
from edgekit.tasks.heads.yolov8 import prepared
from edgekit.tasks.labels import default_labels

STRIDES = (8, 16, 32)
BINS = 16
DISTANCES = 4 * BINS


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """[1, 64 + classes, H / stride, W / stride] for the strides 8, 16 and 32, or the same with channels last."""
    picture = image_input(inputs)
    if picture is None or picture.channels != 3 or picture.height % STRIDES[-1] or picture.width % STRIDES[-1]:
        return None
    if len(outputs) != len(STRIDES) or any(len(spec.shape) != 4 for spec in outputs):
        return None
    shapes = {spec.shape for spec in outputs}
    _, first, _, last = outputs[0].shape
    channels = first if shapes == _maps(picture, first) else last if shapes == _maps(picture, last, at_the_end=True) else 0
    if channels <= DISTANCES:
        return None
    labels = default_labels(channels - DISTANCES)
    return prepared(picture), Postprocess(task="detection", head="yolov8_raw", labels=labels)


def _maps(picture: ImageInput, channels: int, *, at_the_end: bool = False) -> set[tuple[int, ...]]:
    sizes = [(picture.height // stride, picture.width // stride) for stride in STRIDES]
    return {(1, *size, channels) if at_the_end else (1, channels, *size) for size in sizes}


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Cells whose best class score reaches the threshold, as boxes in pixels of the input."""
    rows = np.concatenate([_rows(outputs, preprocess, len(postprocess.labels), stride) for stride in STRIDES])
    scores = sigmoid(rows[:, DISTANCES:])
    likely = np.flatnonzero(scores.max(axis=1) >= postprocess.score_threshold)
    row, class_id = np.nonzero(worth(scores[likely], postprocess))
    cell = likely[row]
    grid = cells(preprocess.height, preprocess.width, STRIDES)[cell]
    middle, stride = grid[:, :2] + 0.5, grid[:, 2:]
    sides = _means(rows[cell, :DISTANCES])
    boxes = np.concatenate([middle - sides[:, :2], middle + sides[:, 2:]], axis=1) * stride
    return Candidates(boxes=boxes.astype(np.float32), scores=scores[cell, class_id], class_ids=class_id.astype(np.int64))


def _rows(outputs: Arrays, preprocess: Preprocess, classes: int, stride: int) -> Floats:
    """[cells, 64 + classes] of one stride."""
    height, width, channels = preprocess.height // stride, preprocess.width // stride, DISTANCES + classes
    found = array_shaped(outputs, "yolov8_raw", (1, channels, height, width), (1, height, width, channels))[0]
    last = found if found.shape == (height, width, channels) else found.transpose(1, 2, 0)
    rows: Floats = last.reshape(-1, channels).astype(np.float32)
    return rows


def _means(rows: Floats) -> Floats:
    """[N, 64] logits -> [N, 4] distances in strides: left, top, right, bottom."""
    powers = np.exp(rows.reshape(-1, 4, BINS) - rows.reshape(-1, 4, BINS).max(axis=2, keepdims=True))
    means: Floats = (powers / powers.sum(axis=2, keepdims=True)) @ np.arange(BINS, dtype=np.float32)
    return means
