"""YOLO26-seg and segmentation models exported with their suppression inside: rows of yolov10.py with coefficients, and prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Candidates, MaskParts, Recognised, array_shaped, image_input
from edgekit.tasks.decoding.prototypes import prototypes_in, prototypes_of
from edgekit.tasks.heads.yolov8 import prepared
from edgekit.tasks.heads.yolov10 import COLUMNS, candidates, described, has_rows

MASKS = True
"""Every box comes with the shape of what is in it."""


def recognise(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None:
    """[1, rows, 6 + masks] and masks prototypes of a quarter of the input's size, channels first or last."""
    picture = image_input(inputs)
    found = prototypes_in(outputs, picture) if picture is not None else None
    if picture is None or found is None or not has_rows(picture, found[1], COLUMNS + found[0]):
        return None
    return prepared(picture), described("yolov10_seg", ())


def decode(outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates:
    """What yolov10 finds, each with what its mask is put together from."""
    prototypes, others = prototypes_of(outputs, preprocess, "yolov10_seg")
    rows = array_shaped(others, "yolov10_seg", (1, None, COLUMNS + len(prototypes)))[0].astype(np.float32)
    found, kept = candidates(rows, preprocess, postprocess)
    return replace(found, masks=MaskParts(coefficients=rows[kept, COLUMNS:], prototypes=prototypes))
