"""A picture becomes a model's input, and positions in that input become pixels of the picture again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.pictures.resize import resize_bilinear

Floats = NDArray[np.float32]
LUMA_BT601 = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the picture lies in the model's input: `input = picture * scale + offset`, in pixels."""

    image_width: int
    image_height: int
    scale_x: float
    scale_y: float
    offset_x: float = 0.0
    offset_y: float = 0.0

    def points_to_image(self, points: Floats) -> Floats:
        """Positions [..., 2] (x, y) in the input as pixels of the picture, kept inside it."""
        pixels = (points - (self.offset_x, self.offset_y)) / (self.scale_x, self.scale_y)
        inside: Floats = np.clip(pixels, 0, (self.image_width, self.image_height)).astype(np.float32)
        return inside

    def boxes_to_image(self, boxes: Floats) -> Floats:
        """Boxes [N, 4] (x1, y1, x2, y2) in the input as pixels of the picture, clipped to it."""
        return self.points_to_image(boxes.reshape(-1, 2, 2)).reshape(-1, 4)

    def points_to_input(self, points: Floats) -> Floats:
        """The way there: pixels [..., 2] of the picture as positions in the input."""
        there: Floats = (points * (self.scale_x, self.scale_y) + (self.offset_x, self.offset_y)).astype(np.float32)
        return there


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """`array` with a batch of one in the layout asked for (float32, or bytes that mean the same when they are multiplied by `scale`),
    and where the picture lies in it."""

    array: NDArray[Any]
    placement: Placement
    scale: float = 1.0


def prepare(
    image: NDArray[np.uint8], preprocess: Preprocess, *, as_bytes: bool = False, scaled_later: bool = False
) -> Prepared:
    """Resize, pad, reorder and scale `image` ([h, w, 3] uint8 RGB) as `preprocess` says.

    With `as_bytes` the pixels stay bytes, and nothing is copied, where scale, mean and std would leave them what they are:
    sessions take these as well as floats, and are faster with them. With `scaled_later`, too, a scale is left to whoever takes the
    bytes (`Prepared.scale`). Raises `InputError` when `image` is no such array or mean and std do not fit the channels.
    """
    _refuse(image)
    canvas, placement = _placed(image, preprocess)
    pixels, channel_axis = _coloured(canvas, preprocess.color), 2
    if preprocess.layout == "nchw":
        pixels, channel_axis = pixels.transpose(2, 0, 1), 0
    if as_bytes and _only_scales(preprocess) and (scaled_later or preprocess.scale == 1):
        return Prepared(array=pixels[None], placement=placement, scale=preprocess.scale)
    return Prepared(array=_normalised(pixels, preprocess, channel_axis=channel_axis)[None], placement=placement)


def _only_scales(preprocess: Preprocess) -> bool:
    return not any(preprocess.mean) and all(std == 1 for std in preprocess.std)


def ensure_fits(preprocess: Preprocess, spec: TensorSpec) -> None:
    """Raise `InputError` unless what `prepare` gives is what the input `spec` takes, in finite numbers."""
    channels = 1 if preprocess.color == "gray" else 3
    size = (preprocess.height, preprocess.width)
    shape = (1, channels, *size) if preprocess.layout == "nchw" else (1, *size, channels)
    if shape != spec.shape:
        said = f"{preprocess.color} pictures in {preprocess.layout} are {list(shape)}"
        raise InputError(f"{said}, input {spec.name!r} takes {list(spec.shape)}", "is --layout or --color right?")
    per_channel(preprocess.mean, channels, "mean")
    per_channel(preprocess.std, channels, "std")
    if not math.isfinite(preprocess.scale) or preprocess.scale == 0:
        raise InputError(
            f"the scale is {preprocess.scale}: every picture would be the same", "give a number such as 0.00392157"
        )


def _refuse(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            f"a picture is uint8 of shape [height, width, 3], not {image.dtype} of shape {list(image.shape)}",
            "read it with edgekit.tasks.pictures.images.read_image",
        )


def _placed(image: NDArray[np.uint8], preprocess: Preprocess) -> tuple[NDArray[np.uint8], Placement]:
    """The picture on a canvas of the input's size (still RGB, uint8), and where it lies there."""
    height, width = image.shape[:2]
    rows, columns = fitted(height, width, preprocess)
    resized = resize_bilinear(image, rows, columns)
    spare = (preprocess.height - rows, preprocess.width - columns)
    top, left = (spare[0] // 2, spare[1] // 2) if preprocess.resize == "letterbox-center" else (0, 0)
    placement = Placement(
        image_width=width, image_height=height, scale_x=columns / width, scale_y=rows / height, offset_x=left, offset_y=top
    )
    if spare == (0, 0):
        return resized, placement
    canvas = np.full((preprocess.height, preprocess.width, 3), round(preprocess.pad_value), dtype=np.uint8)
    canvas[top : top + rows, left : left + columns] = resized
    return canvas, placement


def fitted(height: int, width: int, preprocess: Preprocess) -> tuple[int, int]:
    """Rows and columns of the resized picture: the whole input, or as much of it as keeps the picture's proportions."""
    if preprocess.resize == "stretch":
        return preprocess.height, preprocess.width
    ratio = min(preprocess.height / height, preprocess.width / width)
    return _within(height * ratio, preprocess.height), _within(width * ratio, preprocess.width)


def _within(size: float, limit: int) -> int:
    """`size` rounded down as the YOLOX reference does; the small term keeps 639.9999 from becoming 639."""
    return min(max(int(size + 1e-6), 1), limit)


def _coloured(canvas: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    """[h, w, 3] RGB, [h, w, 3] BGR, or [h, w, 1] luma (BT.601, rounded)."""
    if color == "bgr":
        return canvas[:, :, ::-1]
    if color == "gray":
        luma = canvas.astype(np.float32) @ np.array(LUMA_BT601, dtype=np.float32)
        return (luma + 0.5).astype(np.uint8)[:, :, None]
    return canvas


def _normalised(pixels: NDArray[np.uint8], preprocess: Preprocess, *, channel_axis: int) -> Floats:
    """`(pixel * scale - mean) / std` in a fresh array whose memory is in order; steps that change nothing are left out."""
    values = pixels.astype(np.float32, order="C")
    shape = [1, 1, 1]
    shape[channel_axis] = -1
    mean = per_channel(preprocess.mean, pixels.shape[channel_axis], "mean")
    std = per_channel(preprocess.std, pixels.shape[channel_axis], "std")
    if preprocess.scale != 1:
        values *= np.float32(preprocess.scale)
    if mean.any():
        values -= mean.reshape(shape)
    if (std != 1).any():
        values /= std.reshape(shape)
    return values


def per_channel(numbers: tuple[float, ...], channels: int, what: str) -> Floats:
    """`numbers` as float32, one or one per channel. Raises `InputError` for another count, NaN, infinity and a std of 0."""
    if len(numbers) not in (1, channels):
        raise InputError(f"{what} has {len(numbers)} values for {channels} channels", f"give 1 or {channels} values")
    if not all(math.isfinite(number) for number in numbers):
        raise InputError(f"{what} is {list(numbers)}", "give finite numbers")
    if what == "std" and 0 in numbers:
        raise InputError(f"std is {list(numbers)}: nothing can be divided by 0", "give the standard deviation per channel")
    return np.array(numbers, dtype=np.float32)
