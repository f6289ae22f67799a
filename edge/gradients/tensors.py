"""Arrays as PyTorch has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.core.optional import need

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def tensors(feed: Mapping[str, NDArray[Any]], device: str) -> dict[str, Tensor]:
    """Arrays as tensors on a device."""
    return {name: tensor(value, device) for name, value in feed.items()}


def tensor(value: NDArray[Any], device: str = "cpu") -> Tensor:
    """An array as a tensor on a device."""
    made: Tensor = need("torch").from_numpy(np.array(value)).to(device)
    return made
