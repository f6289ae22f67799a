"""Where PyTorch computes: this machine's CPU, or a GPU that its PyTorch can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.core.errors import DeviceError
from edgekit.core.optional import need
from edgekit.distill.pictures import Samples
from edgekit.gradients.tensors import tensor, tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SHARE = 0.25
"""Of the GPU's free memory that samples may take; more of them stay on disk and travel batch by batch."""


def chosen(name: str) -> str:
    """`auto` is the GPU where there is one that PyTorch can use, else the CPU. Raises `DeviceError` for a GPU that is not there."""
    there = bool(need("torch").cuda.is_available())
    if name == "cuda" and not there:
        raise DeviceError(
            "PyTorch sees no CUDA device on this machine", "leave out --device, or install PyTorch's build for CUDA"
        )
    return "cuda" if there and name != "cpu" else "cpu"


class Supply:
    """Batches of the samples on one device. On a GPU all of them lie in its memory when they take little of it."""

    def __init__(self, samples: Samples, device: str) -> None:
        self._samples, self._device, self.count = samples, device, samples.count
        self._there: dict[str, Tensor] = {}
        if device == "cuda" and sum(array.nbytes for array in samples.arrays.values()) < SHARE * _free():
            self._there = {name: tensor(np.asarray(array), device) for name, array in samples.arrays.items()}

    def batch(self, places: NDArray[np.int64]) -> dict[str, Tensor]:
        """For each input the samples at `places`, in that order."""
        if not self._there:
            return tensors(self._samples.take(places), self._device)
        index = tensor(places, self._device)
        return {name: value.index_select(0, index) for name, value in self._there.items()}


def _free() -> int:
    return int(need("torch").cuda.mem_get_info()[0])
