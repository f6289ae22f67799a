"""Operators that only move values: labels move with them, and what they cannot follow is kept."""

from __future__ import annotations

import numpy as np

from edgekit.converters.graph import Array, Node
from edgekit.converters.prune.coupling.channels import Axes, Ints
from edgekit.converters.prune.coupling.regroup import regrouped
from edgekit.converters.prune.coupling.walk import Walk, keep_all


def transpose(walk: Walk, node: Node) -> list[Axes]:
    """Axes in another order."""
    source = walk.labels(node.inputs[0])
    return [tuple(source[axis] for axis in node.integers("perm", tuple(reversed(range(len(source))))))]


def squeeze(walk: Walk, node: Node) -> list[Axes]:
    """Axes of size one dropped; the one channel on such an axis is kept."""
    source, shape = walk.labels(node.inputs[0]), walk.shape(node.inputs[0])
    given = constant_at(walk, node, 1)
    gone = {int(axis) % len(shape) for axis in given} if given is not None else {a for a, size in enumerate(shape) if size == 1}
    walk.freeze(tuple(source[axis] for axis in gone), f"Squeeze at {node.name!r} drops their axis")
    return [tuple(labels for axis, labels in enumerate(source) if axis not in gone)]


def unsqueeze(walk: Walk, node: Node) -> list[Axes]:
    """Axes of size one put in."""
    given, rank = constant_at(walk, node, 1), len(walk.shape(node.output))
    if given is None:
        return keep_all(walk, node, "Unsqueeze with computed axes")
    new, rest = {int(axis) % rank for axis in given}, iter(walk.labels(node.inputs[0]))
    return [tuple(None if axis in new else next(rest) for axis in range(rank))]


def reshape(walk: Walk, node: Node) -> list[Axes]:
    """Reshape and Flatten, where each axis is kept, merged or parted; see `regrouped`."""
    shapes = walk.shape(node.inputs[0]), walk.shape(node.output)
    made = regrouped(walk.channels, walk.labels(node.inputs[0]), *shapes, f"{node.op} at {node.name!r} mixes them with others")
    return [made]


def concat(walk: Walk, node: Node) -> list[Axes]:
    """Labels one after the other along the axis; tied along every other one. What has no label there is kept by a new one."""
    rank = len(walk.shape(node.output))
    axis = node.integer("axis", 0) % rank
    made = tuple(_joined(walk, node) if at == axis else _shared(walk, node, at) for at in range(rank))
    return [made]


def _joined(walk: Walk, node: Node) -> Ints | None:
    axis = node.integer("axis", 0) % len(walk.shape(node.output))
    found = [walk.labels(name)[axis] for name in node.inputs]
    if all(labels is None for labels in found):
        return None
    return np.concatenate(
        [_kept(walk, node, walk.shape(name)[axis]) if a is None else a for a, name in zip(found, node.inputs, strict=True)]
    )


def _kept(walk: Walk, node: Node, count: int) -> Ints:
    """Labels for positions that stay whatever happens to their neighbours."""
    labels = walk.channels.fresh(count)
    walk.channels.freeze(labels, f"Concat at {node.name!r} takes them from where nothing can be cut")
    return labels


def _shared(walk: Walk, node: Node, axis: int) -> Ints | None:
    """One axis that all parts have in common. A constant part follows, another without labels keeps the channels."""
    labelled = [labels for name in node.inputs if (labels := walk.labels(name)[axis]) is not None]
    for other in labelled[1:]:
        walk.channels.tie(labelled[0], other)
    if labelled:
        for index, name in enumerate(node.inputs):
            if walk.constant(name) is not None:
                walk.cut(node, index, axis, labelled[0], "passes")
            elif walk.labels(name)[axis] is None:
                walk.channels.freeze(labelled[0], f"Concat at {node.name!r} joins them with {name!r}, which cannot be cut")
    return labelled[0] if labelled else None


def split(walk: Walk, node: Node) -> list[Axes]:
    """Each output has its share of the labels."""
    source = walk.labels(node.inputs[0])
    axis = node.integer("axis", 0) % len(source)
    labels = source[axis]
    if labels is None:
        return [source for name in node.outputs if name]
    ends = np.cumsum([walk.shape(name)[axis] for name in node.outputs])
    parts = np.split(labels, ends[:-1])
    return [(*source[:axis], part, *source[axis + 1 :]) for part in parts]


def slice_(walk: Walk, node: Node) -> list[Axes]:
    """The labels that are left along each axis."""
    source, shape = walk.labels(node.inputs[0]), walk.shape(node.inputs[0])
    taken = slices(walk, node, shape)
    if taken is None:
        return keep_all(walk, node, "Slice with computed bounds")
    return [tuple(labels if labels is None else labels[taken[axis]] for axis, labels in enumerate(source))]


def slices(walk: Walk, node: Node, shape: tuple[int, ...]) -> list[slice] | None:
    """What a Slice with constant bounds takes of each axis, or None."""
    bounds = [constant_at(walk, node, index) for index in (1, 2)]
    if any(bound is None for bound in bounds):
        return None
    starts, ends = (np.asarray(bound).reshape(-1) for bound in bounds)
    axes = constant_at(walk, node, 3)
    steps = constant_at(walk, node, 4)
    found = [slice(None)] * len(shape)
    for at, axis in enumerate(range(len(starts)) if axes is None else axes.reshape(-1)):
        step = 1 if steps is None else int(steps.reshape(-1)[at])
        found[int(axis) % len(shape)] = bounded(int(starts[at]), int(ends[at]), step, shape[int(axis) % len(shape)])
    return found


def bounded(start: int, end: int, step: int, size: int) -> slice:
    """ONNX's bounds as Python's: far out of range means the very end, also when stepping back."""
    if step < 0 and end < -size:
        return slice(start, None, step)
    return slice(start, end, step)


def gather(walk: Walk, node: Node) -> list[Axes]:
    """Constant indices pick labels; a single index keeps what it picks, for its axis is gone afterwards."""
    source, index = walk.labels(node.inputs[0]), walk.constant(node.inputs[1])
    if walk.constant(node.inputs[0]) is not None or index is None:
        return keep_all(walk, node, "Gather with computed indices")
    axis = node.integer("axis", 0) % len(source)
    labels = source[axis]
    picked: Axes = (None,) * index.ndim
    if labels is not None and index.ndim == 1:
        picked = (labels[index],)
    elif labels is not None:
        walk.channels.freeze(labels, f"Gather at {node.name!r} picks among them by number")
    return [(*source[:axis], *picked, *source[axis + 1 :])]


def expand(walk: Walk, node: Node) -> list[Axes]:
    """Axes of size one repeated; the others pass."""
    source, shape, made = walk.labels(node.inputs[0]), walk.shape(node.inputs[0]), walk.shape(node.output)
    if walk.constant(node.inputs[0]) is not None or constant_at(walk, node, 1) is None:
        return keep_all(walk, node, "Expand of a constant or to a computed shape")
    new = len(made) - len(shape)
    grown = [labels for axis, labels in enumerate(source) if shape[axis] != made[new + axis]]
    walk.freeze(tuple(grown), f"Expand at {node.name!r} repeats them")
    return [(*[None] * new, *(a if shape[i] == made[new + i] else None for i, a in enumerate(source)))]


def pad(walk: Walk, node: Node) -> list[Axes]:
    """Axes that are not padded pass."""
    return _same_size(walk, node, "pads them")


def resize(walk: Walk, node: Node) -> list[Axes]:
    """Axes that keep their size pass."""
    return _same_size(walk, node, "resizes them")


def _same_size(walk: Walk, node: Node, does: str) -> list[Axes]:
    source, before, after = walk.labels(node.inputs[0]), walk.shape(node.inputs[0]), walk.shape(node.output)
    if any(name and walk.constant(name) is None for name in node.inputs[1:]):
        return keep_all(walk, node, f"{node.op} with computed sizes")
    changed = [axis for axis, size in enumerate(before) if size != after[axis]]
    walk.freeze(tuple(source[axis] for axis in changed), f"{node.op} at {node.name!r} {does}")
    return [tuple(None if axis in changed else labels for axis, labels in enumerate(source))]


def space_to_depth(walk: Walk, node: Node) -> list[Axes]:
    """Every channel becomes blocksize squared channels, a whole set of channels after the other."""
    source, block = walk.labels(node.inputs[0]), node.integer("blocksize", 1)
    return [(None, None if source[1] is None else np.tile(source[1], block * block), None, None)]


def depth_to_space(walk: Walk, node: Node) -> list[Axes]:
    """The channels that become one go together."""
    source, block = walk.labels(node.inputs[0]), node.integer("blocksize", 1) ** 2
    labels = source[1]
    if labels is None:
        return [walk.unlabelled(node.output)]
    first = node.text("mode", "DCR") == "DCR"
    parts = labels.reshape(block, -1) if first else labels.reshape(-1, block).T
    for part in parts[1:]:
        walk.channels.tie(parts[0], part)
    return [(None, parts[0], None, None)]


def constant_at(walk: Walk, node: Node, index: int) -> Array | None:
    """The constant at that input; None when the input is absent or computed."""
    return walk.constant(node.inputs[index]) if index < len(node.inputs) and node.inputs[index] else None
