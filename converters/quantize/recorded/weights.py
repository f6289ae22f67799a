"""Weights that were integers once are the same integers again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph
from edgekit.converters.quantize.parameters import Quantization, QuantParams

MOST = 127
ROUNDED_AGAIN = 1 / 12
"""The mean squared error of rounding, in steps."""
WHOLE = 1e-3
"""How far float32 may be from a whole number of steps."""


def on_own_grids(graph: Graph, quantization: Quantization) -> Quantization:
    """The quantization with each weight channel on the steps that its values are multiples of already, where there are such.

    A weight that was integers once is then the same integers again, instead of being rounded a second time.
    """
    weights = {
        name: _on_own_grid(graph.constants[name], params) if name in graph.constants else params
        for name, params in quantization.weights.items()
    }
    return replace(quantization, weights=weights)


def _on_own_grid(values: Array, params: QuantParams) -> QuantParams:
    """Symmetric parameters whose scale is the values' own step, channel by channel."""
    if params.dtype != "int8" or np.any(params.zero_point) or not values.size:
        return params
    rows = (
        np.moveaxis(values, params.axis, 0).reshape(params.scale.size, -1) if params.axis is not None else values.reshape(1, -1)
    )
    steps = [_step(row.astype(np.float64)) or float(scale) for row, scale in zip(rows, params.scale, strict=True)]
    return replace(params, scale=np.array(steps, np.float32))


def _step(row: NDArray[np.float64]) -> float | None:
    """The step of which every value is a whole multiple of at most 127, or None.

    Where a few of a channel reach 128 steps, these are cut by one step: that costs less than to round all of them again.
    """
    reach = float(np.abs(row).max())
    if reach == 0.0:
        return None
    few = row[: 4 * MOST]
    counts = np.array([*range(MOST, 0, -1), MOST + 1], np.float64)
    multiples = few[None, :] * (counts[:, None] / reach)
    fits = np.abs(multiples - np.rint(multiples)).max(axis=1) < WHOLE
    for count in counts[fits]:
        exact = row * (count / reach)
        if np.abs(exact - np.rint(exact)).max() < WHOLE and (count <= MOST or _few_cut(exact)):
            return reach / float(count)
    return None


def _few_cut(multiples: NDArray[np.float64]) -> bool:
    """Whether cutting what reaches beyond 127 steps makes a smaller squared error than rounding everything."""
    return int((np.abs(multiples) > MOST + WHOLE).sum()) < ROUNDED_AGAIN * multiples.size
