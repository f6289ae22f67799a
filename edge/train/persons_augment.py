"""New scenes from few pictures, on whatever device they lie: zoomed, turned, mirrored, put together by fours, seen by bad cameras.

Geometry comes first and is shown to teacher and student alike; bad light and bad lenses are for the student alone, and not
on every scene, so that the teacher's word stays good and good cameras are not forgotten.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import Generator, Tensor

PAD = 114.0
"""Grey level around a picture, as the detector's preprocessing pads."""


class Limits(NamedTuple):
    """How far each distortion goes."""

    smallest: float = 0.45
    largest: float = 2.2
    """Size of a picture, as a share of the size at which it fills the input."""
    stretch: float = 0.15
    turn_degrees: float = 7.0
    mosaic_share: float = 0.5
    """Of the scenes, those put together from four pictures."""
    clean_share: float = 0.35
    """Of the scenes, those that the student sees as they are: taught on bad cameras alone, it forgets good ones."""
    grey_share: float = 0.15
    blur_share: float = 0.25
    noise: float = 14.0
    """Largest standard deviation of a camera's noise, in grey levels."""


class Pictures(NamedTuple):
    """Pictures on one canvas size: uint8 [N, 3, H, W] (blue, green, red), each in the upper left corner; `sizes` [N, 2] are (w, h)."""

    canvases: Tensor
    sizes: Tensor

    def take(self, rows: Tensor) -> Pictures:
        """Some of them."""
        return Pictures(self.canvases[rows], self.sizes[rows])


def scenes(pictures: Pictures, rows: Tensor, size: tuple[int, int], chance: Generator, limits: Limits) -> Tensor:
    """Scenes float32 [N, 3, *size] of 0..255 from pictures `rows` [N, 4]: the first of each, or all four of it."""
    torch = need("torch")
    device = pictures.canvases.device
    whole = _placed(pictures.take(rows[:, 0]), size, chance, limits)
    fours = torch.rand(len(rows), generator=chance, device=device) < limits.mosaic_share
    chosen = fours.nonzero().flatten()
    if len(chosen) == 0:
        return whole
    parts = [whole[chosen]] + [_placed(pictures.take(rows[chosen, n]), size, chance, limits) for n in (1, 2, 3)]
    return whole.index_copy(0, chosen, _quarters(parts, chance))


def _placed(pictures: Pictures, size: tuple[int, int], chance: Generator, limits: Limits) -> Tensor:
    """Each picture somewhere in the input, at some size."""
    functional = need("torch").nn.functional
    shape = [len(pictures.canvases), 3, *size]
    grid = functional.affine_grid(_matrices(pictures, size, chance, limits), shape, align_corners=False)
    moved = functional.grid_sample(pictures.canvases.float() - PAD, grid, padding_mode="zeros", align_corners=False)
    placed: Tensor = moved + PAD
    return placed


def _matrices(pictures: Pictures, size: tuple[int, int], chance: Generator, limits: Limits) -> Tensor:
    """[N, 2, 3]: from places in the input to places in the canvas, both in -1..1."""
    torch = need("torch")
    height, width = size
    count, device = len(pictures.sizes), pictures.canvases.device
    canvas = torch.tensor([pictures.canvases.shape[3], pictures.canvases.shape[2]], device=device, dtype=torch.float32)

    def spread(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=chance, device=device)

    own = pictures.sizes.float()
    filling = torch.minimum(width / own[:, 0], height / own[:, 1])
    zoom = filling * torch.exp(spread(math.log(limits.smallest), math.log(limits.largest), count))
    stretch = torch.exp(spread(-limits.stretch, limits.stretch, count))
    scale = torch.stack([zoom * stretch, zoom / stretch], 1)
    turn = spread(-1, 1, count) ** 3 * math.radians(limits.turn_degrees)
    mirror = torch.where(spread(0, 1, count) < 0.5, -1.0, 1.0)
    room = torch.tensor([width, height], device=device) - own * scale
    shift = (spread(0, 1, count, 2) - 0.5) * room
    cos, sin = torch.cos(turn) * mirror, torch.sin(turn) * mirror
    linear = (
        torch.stack([torch.stack([cos, torch.sin(turn)], 1), torch.stack([-sin, torch.cos(turn)], 1)], 1) / scale[:, :, None]
    )
    half = torch.tensor([width, height], device=device) / 2
    offset = own / 2 - (linear @ shift[:, :, None])[:, :, 0]
    return torch.cat([linear * half / (canvas[:, None] / 2), (offset / (canvas / 2) - 1)[:, :, None]], 2)


def _quarters(parts: list[Tensor], chance: Generator) -> Tensor:
    """Four scenes as the quarters of one; where they meet is drawn by chance."""
    torch = need("torch")
    count, _, height, width = parts[0].shape
    device = parts[0].device
    cut = 0.25 + 0.5 * torch.rand(2, count, 1, 1, 1, generator=chance, device=device)
    below = (torch.arange(height, device=device)[None, None, :, None] / height) >= cut[0]
    right = (torch.arange(width, device=device)[None, None, None, :] / width) >= cut[1]
    upper, lower = torch.where(right, parts[1], parts[0]), torch.where(right, parts[3], parts[2])
    return torch.where(below, lower, upper)


def seen_badly(clean: Tensor, chance: Generator, limits: Limits) -> Tensor:
    """The same scenes through other cameras, most of them bad: light, contrast, colour, blur and noise. [N, 3, H, W] of 0..255."""
    torch = need("torch")
    count, device = len(clean), clean.device

    def spread(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, channels, 1, 1, generator=chance, device=device)

    grey = clean.mean(1, keepdim=True)
    colour = torch.where(spread(0, 1) < limits.grey_share, torch.zeros_like(grey[:, :, :1, :1]), spread(0.5, 1.5))
    images = grey + (clean - grey) * colour
    images = images * torch.exp(spread(-0.12, 0.12, 3)) * torch.exp(spread(-0.5, 0.35))
    middle = images.mean((1, 2, 3), keepdim=True)
    images = ((images - middle) * spread(0.65, 1.35) + middle).clamp(0, 255)
    images = 255 * (images / 255).clamp(1e-4, 1) ** torch.exp(spread(-0.35, 0.35))
    blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    images = torch.where(spread(0, 1) < limits.blur_share, blurred, images)
    noise = torch.randn(images.shape, generator=chance, device=device) * spread(0, 1) ** 2 * limits.noise
    as_it_is = spread(0, 1) < limits.clean_share
    shown: Tensor = torch.where(as_it_is, clean, (images + noise).clamp(0, 255))
    return shown
