"""Physical layouts: an engine array is `source array.transpose(permutation)`; nothing else about a tensor ever changes.

Dimensions of size one hold no order, so two permutations that differ only in where those stand are the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

Permutation = tuple[int, ...]
Shape = tuple[int, ...]


def identity(rank: int) -> Permutation:
    """The source's own order."""
    return tuple(range(rank))


def channels_last(rank: int) -> Permutation:
    """Batch first, channels last, space between: NCHW -> NHWC for rank 4. Below rank 3 there is no space to speak of."""
    return (0, *range(2, rank), 1) if rank >= 3 else identity(rank)


def stored(shape: Sequence[int], permutation: Permutation) -> Shape:
    """The engine's shape of a source shape."""
    return tuple(shape[axis] for axis in permutation)


def order(shape: Sequence[int], permutation: Permutation) -> tuple[int, ...]:
    """The source axes that hold any order (size > 1), as they stand in memory."""
    return tuple(axis for axis in permutation if shape[axis] != 1)


def same_data(shape: Sequence[int], first: Permutation, second: Permutation) -> bool:
    """Whether two permutations put every element at the same place in memory."""
    return order(shape, first) == order(shape, second)


def reshaped(source: Shape, target: Shape, permutation: Permutation) -> Permutation | None:
    """The permutation of the reshaped tensor when the reshape may be done on the stored data, or None.

    `source` dims fall into the finest groups whose products equal those of groups of `target` dims. When every group is
    contiguous and in order in memory, reshaping the stored array only regroups it: the target's dims stand group by group.
    """
    groups = dim_groups(source, target)
    owner = {axis: group for group in groups for axis in group[0]}
    remaining = list(order(source, permutation))
    result: list[int] = []
    while remaining:
        members, targets = owner[remaining[0]]
        if tuple(remaining[: len(members)]) != members:
            return None
        remaining = remaining[len(members) :]
        result.extend(targets)
    return with_unit_axes(target, tuple(result))


def dim_groups(source: Shape, target: Shape) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """The finest pairing of runs of source axes with runs of target axes of the same size; axes of size one are left out."""
    if prod(source) != prod(target):
        raise ValueError(f"{source} has {prod(source)} elements, {target} has {prod(target)}")
    left = [axis for axis, size in enumerate(source) if size != 1]
    right = [axis for axis, size in enumerate(target) if size != 1]
    groups = []
    while left:
        ins, outs = [left.pop(0)], [right.pop(0)]
        while (here := prod(source[a] for a in ins)) != (there := prod(target[a] for a in outs)):
            ins, outs = ([*ins, left.pop(0)], outs) if here < there else (ins, [*outs, right.pop(0)])
        groups.append((tuple(ins), tuple(outs)))
    return tuple(groups)


def with_unit_axes(shape: Shape, ordered: tuple[int, ...]) -> Permutation:
    """A full permutation whose axes of size > 1 stand as in `ordered`: a familiar one when there is one."""
    for familiar in (identity(len(shape)), channels_last(len(shape))):
        if order(shape, familiar) == ordered:
            return familiar
    result = list(ordered)
    for axis in (axis for axis, size in enumerate(shape) if size == 1):
        result.insert(result.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(result)
