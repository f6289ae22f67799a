"""What each element of a kernel reads along one dimension, taken as a tensor of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from edgekit.converters.graph import Array
from edgekit.converters.lower.tflite.geometry import Window
from edgekit.converters.lower.tflite.legal.rewrite import Scribe


@dataclass(frozen=True, kw_only=True)
class Taps:
    """Which place each element of a kernel reads for every place of the output: [kernel, output]; outside of [0, size) is padding."""

    size: int
    places: Array

    @property
    def inside(self) -> Array:
        """Where something is read, and no padding."""
        found: Array = (self.places >= 0) & (self.places < self.size)
        return found

    @property
    def padding(self) -> tuple[int, int]:
        """Places before the first and behind the last that are read."""
        return max(-int(self.places.min()), 0), max(int(self.places.max()) - self.size + 1, 0)

    @property
    def within(self) -> Taps:
        """The same for a maximum: what would read padding reads another place of its window, which changes no maximum."""
        first = self.places[self.inside.argmax(axis=0), np.arange(self.places.shape[1])]
        return Taps(size=self.size, places=np.where(self.inside, self.places, first))


def taps_of(span: Window, axis: int = 0) -> Taps:
    """The taps along one dimension of a window."""
    starts = np.arange(span.out[axis]) * span.strides[axis] - span.pads[axis][0]
    return Taps(size=span.size[axis], places=np.arange(span.kernel[axis])[:, None] * span.dilations[axis] + starts)


def taken(scribe: Scribe, x: str, row: Array, axis: int, label: str) -> str:
    """What stands at some places along an axis: a slice, or a gather where the steps are not even."""
    shape = scribe.shape(x)
    steps = set(np.diff(row).tolist()) or {1}
    made = (*shape[:axis], row.size, *shape[axis + 1 :])
    if row.size == shape[axis] and steps == {1}:
        return x
    if len(steps) > 1 or min(steps) < 1:
        return scribe.add("Gather", [x, scribe.constant(f"{label}_places", row, "int64")], made, label, axis=axis)
    bounds = {"start": row[0], "end": row[-1] + 1, "axis": axis, "step": steps.pop()}
    inner = [scribe.constant(f"{label}_{key}", [value], "int64") for key, value in bounds.items()]
    return scribe.add("Slice", [x, *inner], made, label)


def largest_of(scribe: Scribe, parts: Sequence[str]) -> str:
    """The element-wise maximum of tensors of one shape."""
    return reduce(lambda one, other: scribe.add("Max", [one, other], scribe.shape(one), "larger"), parts)
