"""What the heads with masks share: the second output, pictures of a quarter of the input's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.core.errors import InputError
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.decoding.head import Arrays, Floats, ImageInput

EVERY = 4
"""Pixels of the input to one of a prototype, each way."""


def prototypes_in(outputs: Sequence[TensorSpec], picture: ImageInput) -> tuple[int, TensorSpec] | None:
    """(how many prototypes, the other output) of a model with two outputs of which one is prototypes, else None."""
    if len(outputs) != 2 or sorted(len(spec.shape) for spec in outputs) != [3, 4]:
        return None
    rows, masks = sorted(outputs, key=lambda spec: len(spec.shape))
    size = (picture.height // EVERY, picture.width // EVERY)
    batch, first, second, last = masks.shape
    if batch != 1 or rows.shape[0] != 1:
        return None
    if (second, last) == size:
        return first, rows
    return (last, rows) if (first, second) == size else None


def prototypes_of(outputs: Arrays, preprocess: Preprocess, head: str) -> tuple[Floats, Arrays]:
    """(prototypes [M, h, w], the other outputs). Raises `InputError` when there are none of the right size."""
    size = (preprocess.height // EVERY, preprocess.width // EVERY)
    for name, array in outputs.items():
        if array.ndim == 4 and size in (array.shape[2:], array.shape[1:3]):
            first = array[0] if array.shape[2:] == size else array[0].transpose(2, 0, 1)
            return first.astype(np.float32), {other: value for other, value in outputs.items() if other != name}
    found = ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
    raise InputError(
        f"the {head} head needs prototypes of {size[0]} x {size[1]}, the model gave {found}", "is this the right head?"
    )
