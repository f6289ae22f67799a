"""More pictures out of few: mirrored, moved, scaled, recoloured and put together in fours.

Nobody has to label what comes of it, since the source network answers for each (cf. Beyer et al., "Knowledge distillation: A good
teacher is patient and consistent", CVPR 2022, arXiv 2106.05237, and mosaics as in Bochkovskiy et al., arXiv 2004.10934).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgekit.core.optional import need
from edgekit.core.schema import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SMALLEST = 16
"""Pixels along a side, below which an input is not taken for a picture."""
PLAIN, MOSAIC = 0.25, 0.5
"""Share of the pictures that stay as they are, and share of the others that are put together of four."""
ZOOM = (0.6, 1.6)
MOVE = 0.2
"""Of a side, each way."""
CONTRAST, BRIGHTNESS = (0.6, 1.4), 0.15
"""Factors about the picture's mean, and shifts as a share of the range of values."""

Change = Callable[["Tensor", np.random.RandomState], "Tensor"]


def channel_axis(spec: TensorSpec) -> int | None:
    """The axis of the colours of an input that is a picture, else None."""
    if len(spec.shape) != 4 or not spec.dtype.startswith("float"):
        return None
    for axis, sides in ((1, spec.shape[2:]), (3, spec.shape[1:3])):
        if spec.shape[axis] in (1, 3) and min(sides) >= SMALLEST:
            return axis
    return None


def changed(batch: Mapping[str, Tensor], inputs: tuple[TensorSpec, ...], random: np.random.RandomState) -> dict[str, Tensor]:
    """The batch with each of its pictures changed in a way of its own. Only a model of one input is fed so: others may belong together."""
    made = dict(batch)
    axis = channel_axis(inputs[0]) if len(inputs) == 1 else None
    if axis is not None:
        name = inputs[0].name
        made[name] = _pictures(batch[name].movedim(axis, 1), random).movedim(1, axis).contiguous()
    return made


def _pictures(x: Tensor, random: np.random.RandomState) -> Tensor:
    """[N, C, H, W] -> the same, changed."""
    count = len(x)
    whole = _warped(x, _zooms(count, random), random)
    fours = _mosaic(x, random)
    kind = random.uniform(size=count)
    plain = _column(kind < PLAIN, x)
    in_fours = _column(kind > 1 - (1 - PLAIN) * MOSAIC, x)
    torch = need("torch")
    return _recoloured(torch.where(plain, x, torch.where(in_fours, fours, whole)), random)


def _zooms(count: int, random: np.random.RandomState) -> NDArray[np.float64]:
    return np.exp(random.uniform(np.log(ZOOM[0]), np.log(ZOOM[1]), size=count))


def _warped(
    x: Tensor, zoom: NDArray[np.float64], random: np.random.RandomState, centre: tuple[float, float] = (0.0, 0.0)
) -> Tensor:
    """Each picture scaled by its zoom, perhaps mirrored, its middle near `centre` (-1 to 1); what lies beyond its edge is its mirror."""
    functional, count = need("torch").nn.functional, len(x)
    mirror = np.where(random.uniform(size=count) < 0.5, -1.0, 1.0)
    moved = random.uniform(-MOVE, MOVE, size=(2, count))
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = mirror / zoom, 1 / zoom
    theta[:, 0, 2] = moved[0] - centre[0] * theta[:, 0, 0]
    theta[:, 1, 2] = moved[1] - centre[1] * theta[:, 1, 1]
    grid = functional.affine_grid(_like(theta, x), list(x.shape), align_corners=False)
    found: Tensor = functional.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return found


def _mosaic(x: Tensor, random: np.random.RandomState) -> Tensor:
    """Four pictures of the batch in the quarters of one, the borders somewhere about the middle."""
    torch, (count, _, height, width) = need("torch"), x.shape
    splits = random.uniform(0.35, 0.65, size=(2, count))
    right = torch.arange(width, device=x.device)[None, None, None, :] >= _column(splits[0] * width, x)
    below = torch.arange(height, device=x.device)[None, None, :, None] >= _column(splits[1] * height, x)
    parts = []
    for down in (-0.5, 0.5):
        for across in (-0.5, 0.5):
            others = x[torch.from_numpy(random.permutation(count)).to(x.device)]
            parts.append(_warped(others, 0.55 * _zooms(count, random), random, (across, down)))
    return torch.where(below, torch.where(right, parts[3], parts[2]), torch.where(right, parts[1], parts[0]))


def _recoloured(x: Tensor, random: np.random.RandomState) -> Tensor:
    """Other contrast, brightness and tint, within the values that the batch has."""
    count, channels = x.shape[:2]
    low, high = x.amin(), x.amax()
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    factor = _column(random.uniform(*CONTRAST, size=count), x)
    shift = random.uniform(-BRIGHTNESS, BRIGHTNESS, size=(count, 1)) + random.uniform(-0.05, 0.05, size=(count, channels))
    still = _column(random.uniform(size=count) < PLAIN, x)
    torch = need("torch")
    made = (mean + (x - mean) * factor + _like(shift, x)[:, :, None, None] * (high - low)).clamp(low, high)
    found: Tensor = torch.where(still, x, made)
    return found


def _like(values: NDArray[np.generic], x: Tensor) -> Tensor:
    torch = need("torch")
    made: Tensor = torch.from_numpy(np.asarray(values)).to(device=x.device)
    return made if made.dtype == torch.bool else made.to(x.dtype)


def _column(values: NDArray[np.generic], x: Tensor) -> Tensor:
    """[N] -> [N, 1, 1, 1] beside `x`."""
    return _like(values, x)[:, None, None, None]
