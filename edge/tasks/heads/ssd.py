"""TFLite_Detection_PostProcess: the four outputs of TensorFlow's SSD models: boxes, classes, scores, how many there are.

Boxes are top, left, bottom, right as shares of the input, suppressed already; classes count from 0, in COCO's own numbering where the
model was trained on it. Source: tensorflow/lite/kernels/detection_postprocess.cc in the Apache-2.0 repository tensorflow/tensorflow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, Floats, Recognised, array_shaped, image_input
from edgekit.tasks.labels import coco90

NOTHING_SUPPRESSED = 1.0


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """[1, N, 4], twice [1, N], and [1]."""
    picture = image_input(inputs)
    boxes = next((spec.shape for spec in outputs if len(spec.shape) == 3), None)
    if picture is None or picture.channels != 3 or boxes is None or boxes[0] != 1 or boxes[2] != 4:
        return None
    if sorted(spec.shape for spec in outputs) != [(1,), (1, boxes[1]), (1, boxes[1]), boxes]:
        return None
    preprocess = Preprocess(
        input=picture.name, height=picture.height, width=picture.width, layout=picture.layout, scale=1 / 127.5, mean=(1.0,)
    )
    return preprocess, Postprocess(task="detection", head="ssd", labels=coco90(), iou_threshold=NOTHING_SUPPRESSED)


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """As many rows as the model says, of those whose score reaches the threshold, as boxes in pixels of the input."""
    boxes = array_shaped(outputs, "ssd", (1, None, 4))[0].astype(np.float32)
    classes, scores = _classes_and_scores(outputs, len(boxes))
    count = int(array_shaped(outputs, "ssd", (1,))[0])
    kept = np.flatnonzero(scores[: max(count, 0)] >= postprocess.score_threshold)
    size = np.array([preprocess.width, preprocess.height] * 2, np.float32)
    return Candidates(
        boxes=boxes[kept][:, [1, 0, 3, 2]] * size,
        scores=scores[kept],
        class_ids=np.maximum(np.rint(classes[kept]), 0).astype(np.int64),
    )


def _classes_and_scores(outputs: Arrays, count: int) -> tuple[Floats, Floats]:
    """The two rows [N] that look alike: scores are no whole numbers; where both are, classes come first, as in the operator."""
    found = [array[0].astype(np.float32) for array in outputs.values() if array.shape == (1, count)]
    if len(found) != 2:
        raise InputError(
            f"the ssd head needs two outputs of shape [1, {count}], the model gave {len(found)}", "is this the right head?"
        )
    first, second = found
    whole = bool(np.all(first == np.rint(first)))
    return (first, second) if whole else (second, first)
