"""What the files in `heads/` share: the picture a model takes, the cells of its output grids, what decoding returns.

A head is one file with two functions: `recognise(inputs, outputs)` says by structure alone whether a model ends in this
head, and `decode(outputs, preprocess, postprocess)` turns its arrays into candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float32]
Recognised = tuple[Preprocess, Postprocess]

EVERY_CLASS = "every_class"
"""A parameter of `Postprocess`: heads with independent class scores then give a candidate per class, not per box."""


SHARE_LIMIT = 2.0
"""No box is twice as large as its picture; and the grid of a model that counts in pixels has centres well beyond the second one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskParts:
    """What masks are put together from: coefficients [N, M] of each box, and M pictures [M, h, w] that all of them share."""

    coefficients: Floats
    prototypes: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Boxes before suppression: [N, 4] (x1, y1, x2, y2) in pixels of the input, and what more a head finds in each.

    `landmarks` [N, K, 2] and `keypoints` [N, K, 3] (x, y, how sure: 0..1) are in pixels of the input, too.
    """

    boxes: Floats
    scores: Floats
    class_ids: NDArray[np.int64]
    landmarks: Floats | None = None
    keypoints: Floats | None = None
    masks: MaskParts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInput:
    """The one input of a model that takes one picture."""

    name: str
    height: int
    width: int
    channels: int
    layout: Literal["nchw", "nhwc"]


class DetectionHead(Protocol):
    """A file in `heads/` that finds boxes. Raises `InputError` when the arrays are not those it recognises."""

    def recognise(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Recognised | None: ...
    def decode(self, outputs: Arrays, preprocess: Preprocess, postprocess: Postprocess) -> Candidates: ...


def image_input(inputs: Sequence[TensorSpec]) -> ImageInput | None:
    """The picture the model takes, or None when it takes something else (several inputs, a batch, other ranks)."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[0] != 1 or min(inputs[0].shape) < 1:
        return None
    name, (_, first, second, last) = inputs[0].name, inputs[0].shape
    if first in (1, 3):
        return ImageInput(name=name, height=second, width=last, channels=first, layout="nchw")
    if last in (1, 3):
        return ImageInput(name=name, height=first, width=second, channels=last, layout="nhwc")
    return None


@lru_cache(maxsize=16)
def cells(height: int, width: int, strides: tuple[int, ...]) -> Floats:
    """[N, 3] of (column, row, stride): every cell of the grids of an input of that size, row by row, stride by stride. Not to
    be written to: every frame asks for the same."""
    grids = []
    for stride in strides:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        grids.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    found = np.concatenate(grids).astype(np.float32)
    found.flags.writeable = False
    return found


def count_cells(height: int, width: int, strides: Iterable[int]) -> int:
    """How many rows `cells` has."""
    return sum((height // stride) * (width // stride) for stride in strides)


def fitting_strides(height: int, width: int, count: int, known: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The first of the `known` strides whose grids over an input of that size have `count` cells, or None."""
    whole = (strides for strides in known if height % strides[-1] == 0 and width % strides[-1] == 0)
    return next((strides for strides in whole if count_cells(height, width, strides) == count), None)


def worth(scores: Floats, postprocess: Postprocess) -> NDArray[np.bool_]:
    """Which [box, class] reach the threshold, and are the best of their box unless every class is wanted."""
    reached = scores >= postprocess.score_threshold
    if not postprocess.parameters.get(EVERY_CLASS):
        reached &= np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    return reached


def in_pixels(boxes: Floats, preprocess: Preprocess) -> Floats:
    """[N, 4] boxes of a whole grid in pixels of the input; where none reaches beyond 2 they were shares of it."""
    if float(boxes.max(initial=0.0)) > SHARE_LIMIT:
        return boxes
    pixels: Floats = boxes * np.array([preprocess.width, preprocess.height] * 2, np.float32)
    return pixels


def corners(centres: Floats, sizes: Floats) -> Floats:
    """[N, 4] boxes from centres [N, 2] and sizes [N, 2]."""
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)


def exponential(values: Floats) -> Floats:
    """e to the power of `values`; arguments above 20 (a box of 10^9 pixels) are held there so that nothing overflows."""
    power: Floats = np.exp(np.minimum(values, 20))
    return power


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + e^-x), without overflow for large negative x."""
    squashed: Floats = (0.5 * (1 + np.tanh(0.5 * values))).astype(np.float32)
    return squashed


def array_shaped(outputs: Arrays, head: str, *shapes: tuple[int | None, ...]) -> NDArray[Any]:
    """The first output of one of `shapes` (None fits any size). Raises `InputError` naming what was found instead."""
    for array in outputs.values():
        if any(_fits(array.shape, shape) for shape in shapes):
            return array
    found = ", ".join(f"{name} {list(array.shape)}" for name, array in outputs.items())
    wanted = " or ".join(str(["any" if size is None else size for size in shape]) for shape in shapes)
    raise InputError(f"the {head} head needs an output of shape {wanted}, the model gave {found}", "is this the right head?")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, size) for size, want in zip(shape, wanted, strict=True))
