"""UltraFace: two class scores and one box per anchor, decoded inside the model to shares of the picture.

Source: the MIT repository Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB (run_video_face_detect_onnx.py): class 1 is
the face, boxes are corners in 0..1, the picture is RGB, stretched, (pixel - 127) / 128.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, Recognised, array_shaped, image_input


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """Two outputs [1, anchors, 2] and [1, anchors, 4], in any order."""
    picture = image_input(inputs)
    if picture is None or picture.channels != 3 or len(outputs) != 2:
        return None
    shapes = sorted(spec.shape for spec in outputs)
    if any(len(shape) != 3 for shape in shapes) or shapes[0][:2] != shapes[1][:2]:
        return None
    if (shapes[0][0], shapes[0][2], shapes[1][2]) != (1, 2, 4):
        return None
    preprocess = Preprocess(
        input=picture.name,
        height=picture.height,
        width=picture.width,
        layout=picture.layout,
        mean=(127.0,),
        std=(128.0,),
    )
    return preprocess, Postprocess(task="detection", head="ultraface", labels=("face",), score_threshold=0.7, iou_threshold=0.5)


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """Anchors whose face score reaches the threshold, as boxes in pixels of the input."""
    scores = array_shaped(outputs, "ultraface", (1, None, 2))[0, :, 1].astype(np.float32)
    boxes = array_shaped(outputs, "ultraface", (1, len(scores), 4))[0].astype(np.float32)
    kept = np.flatnonzero(scores >= postprocess.score_threshold)
    size = np.array([preprocess.width, preprocess.height] * 2, dtype=np.float32)
    return Candidates(boxes=boxes[kept] * size, scores=scores[kept], class_ids=np.zeros(len(kept), dtype=np.int64))
