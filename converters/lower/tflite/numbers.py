"""Integers for weights and biases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.converters.graph import Array
from edgekit.converters.quantize.parameters import QuantParams, quantize
from edgekit.core.errors import ConversionError

BIAS_LIMIT = float(2**31 - 1)
BIAS_ROOM = float(2**30)
"""What scales are made for: half of the limit, so that rounding them to float32 and adding products stays inside."""
SMALLEST_SCALE = 1e-20
"""Smaller weights are zeros: their scale times an input's would leave float32."""
INT8_POSITIVE = 127
INT8_SPAN = 255


def symmetric(values: Array, axis: int | None) -> QuantParams:
    """Weights of [-127, 127] with zero point 0: from the largest magnitude, per slice of `axis` or of all."""
    others = tuple(d for d in range(values.ndim) if d != axis)
    peak = np.atleast_1d(np.abs(values.astype(np.float64)).max(axis=others if axis is not None else None, initial=0.0))
    scale = np.where(peak > 0, np.maximum(peak / INT8_POSITIVE, SMALLEST_SCALE), 1.0).astype(np.float32)
    return QuantParams(scale=scale, zero_point=np.zeros(scale.shape, np.int32), dtype="int8", axis=axis)


def asymmetric(values: Array) -> QuantParams:
    """An activation-like constant over all of [-128, 127], zero representable."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = np.float32((high - low) / INT8_SPAN or 1.0)
    zero_point = np.int32(np.clip(np.rint(-128 - low / float(scale)), -128, 127))
    return QuantParams(scale=np.array([scale]), zero_point=np.array([zero_point]), dtype="int8")


def spanning(high: float) -> QuantParams:
    """All of int8 for [0, high]."""
    return QuantParams(scale=np.array([high / INT8_SPAN], np.float32), zero_point=np.array([-128], np.int32), dtype="int8")


def roomy(params: QuantParams, bias: Array | None, input_scale: float) -> QuantParams:
    """Weight scales widened where the bias would not fit an int32 of scale input * weight (channels of near-zero weights)."""
    if bias is None:
        return params
    needed = np.abs(bias.astype(np.float64)) / (input_scale * BIAS_ROOM)
    floor = needed if params.per_channel else needed.max(keepdims=True)
    return replace(params, scale=np.maximum(params.scale, floor).astype(np.float32))


def bias_params(input_scale: float, weights: QuantParams, *, wide: bool = False) -> QuantParams:
    """int32 (`wide`: int64), zero point 0, scale input * weight; per channel along the bias's only axis when the weights are."""
    scale = (np.float32(input_scale) * weights.scale).astype(np.float32)
    axis = 0 if weights.per_channel else None
    return QuantParams(scale=scale, zero_point=np.zeros(scale.shape, np.int32), dtype="int64" if wide else "int32", axis=axis)


def quantized_bias(bias: Array, params: QuantParams, where: str) -> Array:
    """The integer bias; raises `ConversionError` rather than saturate."""
    if params.dtype == "int32" and np.any(np.abs(np.rint(bias.astype(np.float64) / params.scale)) > BIAS_LIMIT):
        raise ConversionError(f"the bias of {where!r} does not fit 32 bits", "keep the node in float")
    return quantize(bias, params)


def equal(first: QuantParams, second: QuantParams) -> bool:
    """Whether two parameter sets stand for the same real numbers."""
    return (
        first.axis == second.axis
        and np.array_equal(first.scale, second.scale)
        and np.array_equal(first.zero_point, second.zero_point)
    )
