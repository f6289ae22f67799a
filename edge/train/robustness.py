"""How the network does on digits that were turned, moved, resized, drawn with another pen or spoiled by noise.

Most published digit networks report clean test pictures only; hands and cameras do not send those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from edgekit.core.optional import need
from edgekit.train.loop import Pictures, evaluate

if TYPE_CHECKING:
    from torch import Tensor, nn

Spoil = Callable[["Tensor"], "Tensor"]


def spoils() -> Mapping[str, Spoil]:
    """The distortions by name; each takes and gives float32 [N, 1, 28, 28] in 0..1."""
    pool = need("torch").nn.functional.max_pool2d
    return {
        "turned 15 degrees left": lambda images: _warped(images, turn_degrees=-15),
        "turned 15 degrees right": lambda images: _warped(images, turn_degrees=15),
        "moved 2 pixels right and down": lambda images: _warped(images, move_px=2),
        "20 % smaller": lambda images: _warped(images, size=0.8),
        "20 % larger": lambda images: _warped(images, size=1.2),
        "thicker pen": lambda images: (images + pool(images, 3, 1, 1)) / 2,
        "thinner pen": lambda images: (images - pool(-images, 3, 1, 1)) / 2,
        "noise of 20 %": _noisy,
    }


def robustness(network: nn.Module, pictures: Pictures) -> dict[str, float]:
    """Share of right answers under each distortion."""
    return {name: evaluate(network, spoiled(pictures, spoil)).accuracy for name, spoil in spoils().items()}


def spoiled(pictures: Pictures, spoil: Spoil) -> Pictures:
    """The pictures under one distortion, rounded as a file would hold them."""
    spoiled = (spoil(pictures.images.float() / 255).clamp(0, 1) * 255).round().byte()
    return Pictures(spoiled, pictures.labels)


def _warped(images: Tensor, *, turn_degrees: float = 0.0, move_px: float = 0.0, size: float = 1.0) -> Tensor:
    """Turned clockwise about the middle, resized, then moved right and down."""
    torch = need("torch")
    functional = torch.nn.functional
    angle, move = math.radians(turn_degrees), -2.0 * move_px / images.shape[-1]
    cos, sin = math.cos(angle) / size, math.sin(angle) / size
    matrix = torch.tensor([[[cos, sin, move], [-sin, cos, move]]]).expand(len(images), 2, 3)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    warped: Tensor = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return warped


def _noisy(images: Tensor) -> Tensor:
    """Gaussian noise with a standard deviation of 0.2, the same for every run."""
    torch = need("torch")
    return images + 0.2 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
