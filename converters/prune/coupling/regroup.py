"""Labels through a reshape: axes that are kept, merged or parted are followed, others are kept whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.converters.prune.coupling.channels import Axes, Channels, Ints


def regrouped(channels: Channels, source: Axes, before: Sequence[int], after: Sequence[int], why: str) -> Axes:
    """The labels of a tensor of shape `before`, labelled `source`, seen in the shape `after`.

    An axis that is parted goes by its last part (the place in a group: a channel shuffle) or, when it was the tensor's last, by
    the last but one (attention heads). Where several labelled axes would mix, they are frozen with the reason `why`.
    """
    made: list[Ints | None] = []
    for start, end, new_start, new_end in runs(before, after):
        labels = source[start:end]
        sizes, new = before[start:end], after[new_start:new_end]
        made += _run(channels, labels, sizes, new, why, last=end == len(before))
    return tuple(made)


def runs(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, new start, new end): the shortest runs of axes that hold equally many elements, covering both shapes."""
    i = j = 0
    while i < len(before) or j < len(after):
        start, new = i, j
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while (have := math.prod(before[start:i])) != (want := math.prod(after[new:j])) and (i < len(before) or j < len(after)):
            grow = (have < want and i < len(before)) or j == len(after)
            i, j = (i + 1, j) if grow else (i, j + 1)
        yield start, i, new, j


def _run(
    channels: Channels, labels: Axes, sizes: Sequence[int], new: Sequence[int], why: str, *, last: bool
) -> list[Ints | None]:
    nothing: list[Ints | None] = [None] * len(new)
    movable = {axis for axis, size in enumerate(sizes) if size > 1 or tuple(sizes) == tuple(new)}
    found = [(axis, label) for axis, label in enumerate(labels) if label is not None and axis in movable]
    new_wide = [axis for axis, size in enumerate(new) if size > 1]
    mixed = len(found) > 1 or (len(new_wide) > 1 and sum(size > 1 for size in sizes) > 1)
    for axis, label in enumerate(labels):
        if label is not None and (mixed or axis not in movable):
            channels.freeze(label, why)
    if mixed or not found:
        return nothing
    axis, label = found[0]
    if len(new_wide) <= 1:
        return _merged(label, axis, sizes, new_wide, nothing)
    return _parted(channels, label, new, new_wide, nothing, last=last)


def _merged(found: Ints, axis: int, sizes: Sequence[int], wide: list[int], made: list[Ints | None]) -> list[Ints | None]:
    """Several axes in one: the label of each element is that of its place along the labelled axis."""
    full = np.broadcast_to(found.reshape([-1 if at == axis else 1 for at in range(len(sizes))]), tuple(sizes)).reshape(-1)
    made[wide[0] if wide else 0] = full
    return made


def _parted(
    channels: Channels, found: Ints, new: Sequence[int], wide: list[int], made: list[Ints | None], *, last: bool
) -> list[Ints | None]:
    """One axis in several: one of them stands for the channels, and all along the others are tied."""
    chosen = wide[-2] if last else wide[-1]
    rows = np.moveaxis(found.reshape(tuple(new)), chosen, 0).reshape(new[chosen], -1)
    for column in rows.T[1:]:
        channels.tie(rows[:, 0], column)
    made[chosen] = rows[:, 0]
    return made
