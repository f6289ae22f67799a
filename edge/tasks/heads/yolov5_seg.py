"""YOLOv5-seg: the rows of yolov5.py, each ending in mask coefficients, and an output of mask prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, MaskParts, Recognised, array_shaped, image_input
from edgekit.tasks.decoding.prototypes import prototypes_in, prototypes_of
from edgekit.tasks.heads.yolov5 import candidates, has_anchors
from edgekit.tasks.heads.yolov8 import prepared
from edgekit.tasks.labels import default_labels

MASKS = True
"""Every box comes with the shape of what is in it."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """[1, 3 * cells, 5 + classes + masks] and masks prototypes of a quarter of the input's size, channels first or last."""
    picture = image_input(inputs)
    found = prototypes_in(outputs, picture) if picture is not None else None
    if picture is None or found is None or not has_anchors(picture, found[1]):
        return None
    classes = found[1].shape[2] - 5 - found[0]
    if classes < 1:
        return None
    return prepared(picture), Postprocess(task="detection", head="yolov5_seg", labels=default_labels(classes))


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """What yolov5 finds, each with what its mask is put together from."""
    prototypes, others = prototypes_of(outputs, preprocess, "yolov5_seg")
    first = 5 + len(postprocess.labels)
    rows = array_shaped(others, "yolov5_seg", (1, None, first + len(prototypes)))[0].astype(np.float32)
    found, anchor = candidates(rows, preprocess, postprocess)
    return replace(found, masks=MaskParts(coefficients=rows[anchor, first:], prototypes=prototypes))
