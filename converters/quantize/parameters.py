"""Quantization parameters: the value that calibration produces and every lowering consumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array

IntegerType = Literal["int8", "uint8", "int16", "uint16", "int32", "int64"]
LIMITS: Mapping[str, tuple[int, int]] = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**62), 2**62),
}
"""What the integers of a type may be. Sums of 64 bits stop at half of what they could hold, where a double is exact."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantParams:
    """real = (q - zero_point) * scale.

    Per tensor: arrays of one element and `axis` None; per channel: one element per slice of `axis`, which counts in the
    source tensor's own dimensions, whatever layout an engine stores it in.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]
    dtype: IntegerType
    axis: int | None = None

    @property
    def per_channel(self) -> bool:
        """Whether there is one scale per slice of `axis`."""
        return self.axis is not None


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantization:
    """Where integers stand in a graph: parameters per activation tensor and per weight constant, and the nodes kept in float.

    A tensor without parameters is float. Biases are not listed: a lowering derives them (int32, scale_in * scale_weight).
    Of the nodes in float, `dynamic` names those whose weights may be integers all the same, where an engine has kernels that
    quantize the float input while they run.
    """

    activations: Mapping[str, QuantParams]
    weights: Mapping[str, QuantParams]
    float_nodes: frozenset[str] = field(default_factory=frozenset)
    dynamic: frozenset[str] = field(default_factory=frozenset)


def quantize(values: Array, params: QuantParams) -> Array:
    """Round half to even onto the integer grid and saturate: float array -> array of `params.dtype`, same shape."""
    low, high = LIMITS[params.dtype]
    scale, zero_point = _aligned(values.ndim, params)
    return np.clip(np.rint(np.asarray(values, np.float64) / scale) + zero_point, low, high).astype(params.dtype)


def dequantize(values: Array, params: QuantParams) -> NDArray[np.float32]:
    """The real numbers that the integers stand for, float32, same shape."""
    scale, zero_point = _aligned(values.ndim, params)
    return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _aligned(rank: int, params: QuantParams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and zero point shaped so that they broadcast along `axis` of an array of that rank."""
    shape = () if params.axis is None else tuple(-1 if d == params.axis else 1 for d in range(rank))
    return params.scale.astype(np.float64).reshape(shape), params.zero_point.astype(np.float64).reshape(shape)
