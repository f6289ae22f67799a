"""New handwriting from old: turned, slanted, stretched, moved, bent, with another pen, at times through a bad camera.

The bending is the elastic distortion of Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks
Applied to Visual Document Analysis" (ICDAR 2003), with the smooth field drawn on a coarse grid instead of being blurred.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Limits(NamedTuple):
    """How far each distortion goes. Lengths are in pixels of the 28x28 picture."""

    turn_degrees: float = 12.0
    slant: float = 0.18
    stretch: float = 0.14
    move_px: float = 2.0
    bend_px: float = 1.0
    pen_share: float = 0.25
    """Share of the pictures drawn with a thicker or a thinner pen."""

    noise_share: float = 0.2
    """Share of the pictures with camera noise on ink and background."""

    noise: float = 0.25
    """Largest standard deviation of that noise."""


BEND_GRID = 5


def augment(pictures: Tensor, generator: Generator, limits: Limits | None = None) -> Tensor:
    """Distorted copies of `pictures`, float32 [N, 1, H, W] in 0..1, drawn with `generator` (same state, same result)."""
    functional = need("torch").nn.functional
    limits = limits or Limits()
    count, _, height, _ = pictures.shape
    grid = functional.affine_grid(_matrices(count, generator, limits), list(pictures.shape), align_corners=False)
    grid = grid + _bends(pictures, generator) * (2.0 * limits.bend_px / height)
    moved = functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return _noisy(_other_pens(moved, generator, limits.pen_share), generator, limits)


def _matrices(count: int, generator: Generator, limits: Limits) -> Tensor:
    """Random affine matrices [N, 2, 3] from output to input coordinates in -1..1."""
    torch = need("torch")

    def spread(limit: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    turn, slant = spread(math.radians(limits.turn_degrees)), spread(limits.slant)
    wide, high = torch.exp(spread(limits.stretch)), torch.exp(spread(limits.stretch))
    cos, sin = torch.cos(turn), torch.sin(turn)
    x, y = spread(2.0 * limits.move_px / 28), spread(2.0 * limits.move_px / 28)
    rows = [wide * cos, wide * (slant * cos - sin), x, high * sin, high * (slant * sin + cos), y]
    return torch.stack(rows, dim=1).view(count, 2, 3)


def _bends(pictures: Tensor, generator: Generator) -> Tensor:
    """Smooth random displacement fields [N, H, W, 2] of about unit size."""
    torch = need("torch")
    count, _, height, width = pictures.shape
    coarse = torch.randn(count, 2, BEND_GRID, BEND_GRID, generator=generator)
    field = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    return field.permute(0, 2, 3, 1)


def _other_pens(pictures: Tensor, generator: Generator, share: float) -> Tensor:
    """Half of `share` of the pictures with thicker strokes, half with thinner ones, each by a random amount."""
    torch = need("torch")
    draw = torch.rand(len(pictures), 1, 1, 1, generator=generator)
    amount = torch.rand(len(pictures), 1, 1, 1, generator=generator) * 0.7
    pool = torch.nn.functional.max_pool2d
    thick, thin = pool(pictures, 3, 1, 1), -pool(-pictures, 3, 1, 1)
    target = torch.where(draw < share / 2, thick, torch.where(draw < share, thin, pictures))
    return torch.lerp(pictures, target, amount)


def _noisy(pictures: Tensor, generator: Generator, limits: Limits) -> Tensor:
    """Some of the pictures with Gaussian noise, each of its own strength, cut to 0..1."""
    torch = need("torch")
    chosen = torch.nonzero(torch.rand(len(pictures), generator=generator) < limits.noise_share).flatten()
    strength = torch.rand(len(chosen), 1, 1, 1, generator=generator) * limits.noise
    noise = torch.randn(len(chosen), *pictures.shape[1:], generator=generator) * strength
    noisy: Tensor = pictures.index_copy(0, chosen, (pictures[chosen] + noise).clamp(0, 1))
    return noisy
