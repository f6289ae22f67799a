"""YOLOv8-seg and YOLO11-seg: the columns of yolov8.py, each ending in mask coefficients, and an output of mask prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, MaskParts, Recognised, array_shaped, image_input
from edgekit.tasks.decoding.prototypes import prototypes_in, prototypes_of
from edgekit.tasks.heads.yolov8 import candidates, has_cells, prepared
from edgekit.tasks.labels import default_labels

MASKS = True
"""Every box comes with the shape of what is in it."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """[1, 4 + classes + masks, cells] and masks prototypes of a quarter of the input's size, channels first or last."""
    picture = image_input(inputs)
    found = prototypes_in(outputs, picture) if picture is not None else None
    if picture is None or found is None or not has_cells(picture, found[1]):
        return None
    classes = found[1].shape[1] - 4 - found[0]
    if classes < 1:
        return None
    return prepared(picture), Postprocess(task="detection", head="yolov8_seg", labels=default_labels(classes))


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """What yolov8 finds, each with what its mask is put together from."""
    prototypes, others = prototypes_of(outputs, preprocess, "yolov8_seg")
    first = 4 + len(postprocess.labels)
    columns = array_shaped(others, "yolov8_seg", (1, first + len(prototypes), None))[0].astype(np.float32)
    found, cell = candidates(columns, preprocess, postprocess)
    return replace(found, masks=MaskParts(coefficients=columns[first:].T[cell], prototypes=prototypes))
