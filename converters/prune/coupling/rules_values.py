"""Operators on values: element by element, over windows, or across a whole axis."""

from __future__ import annotations

from edgekit.converters.graph import Node
from edgekit.converters.prune.coupling.channels import Axes, Ints
from edgekit.converters.prune.coupling.walk import Walk, keep_all


def elementwise(walk: Walk, node: Node) -> list[Axes]:
    """Numpy's broadcasting: what is combined goes together, a constant follows, an unlabelled partner keeps the channels."""
    rank = len(walk.shape(node.output))
    made = tuple(_combined(walk, node, axis) for axis in range(-rank, 0))
    return [made if len(walk.shape(name)) == rank else walk.unlabelled(name) for name in node.outputs if name]


def _combined(walk: Walk, node: Node, axis: int) -> Ints | None:
    """The labels along `axis` (counted from the end) of the result."""
    wide = [
        (index, name)
        for index, name in enumerate(node.inputs)
        if name and -axis <= len(walk.shape(name)) and (walk.shape(name)[axis] > 1 or walk.shape(node.output)[axis] == 1)
    ]
    labelled = [labels for _, name in wide if (labels := walk.labels(name)[axis]) is not None]
    if not labelled:
        return None
    for other in labelled[1:]:
        walk.channels.tie(labelled[0], other)
    for index, name in wide:
        if walk.constant(name) is not None:
            walk.cut(node, index, axis + len(walk.shape(name)), labelled[0], "passes")
        elif walk.labels(name)[axis] is None:
            walk.channels.freeze(labelled[0], f"{node.op} at {node.name!r} combines them with {name!r}, which cannot be cut")
    return labelled[0]


def pool(walk: Walk, node: Node) -> list[Axes]:
    """Windows over the picture: batch and channels pass, positions are needed."""
    if len([name for name in node.outputs if name]) > 1:
        return keep_all(walk, node, f"{node.op} also says where")
    source = walk.labels(node.inputs[0])
    walk.freeze(source[2:], f"{node.op} at {node.name!r} needs its whole picture")
    return [(*source[:2], *[None] * (len(source) - 2))]


def across(walk: Walk, node: Node) -> list[Axes]:
    """Sums, means, norms, softmax: the axes they run over are needed whole, the others pass."""
    source, rank = walk.labels(node.inputs[0]), len(walk.shape(node.inputs[0]))
    over = _axes_of(walk, node, rank)
    walk.freeze(tuple(source[axis] for axis in over), f"{node.op} at {node.name!r} runs over them")
    for name in node.inputs[1:]:
        walk.freeze(walk.labels(name), f"{node.op} at {node.name!r} takes them as a parameter")
    left = [None if axis in over else labels for axis, labels in enumerate(source)]
    short = [labels for axis, labels in enumerate(left) if axis not in over]
    return [tuple(left if len(walk.shape(name)) == rank else short) for name in node.outputs if name]


def _axes_of(walk: Walk, node: Node, rank: int) -> set[int]:
    """The axes that a reduction, a norm or a softmax runs over."""
    if node.op in ("LayerNormalization", "RMSNormalization"):
        return set(range(node.integer("axis", -1) % rank, rank))
    if "axes" in node.attributes:
        return {axis % rank for axis in node.integers("axes")}
    if node.op.startswith("Reduce") or node.op == "CumSum":
        given = walk.constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
        if given is not None and given.size:
            return {int(axis) % rank for axis in given.reshape(-1)}
        return set() if node.integer("noop_with_empty_axes", 0) and len(node.inputs) < 2 else set(range(rank))
    default = 0 if node.op.startswith("Arg") else -1
    return {node.integer("axis", default) % rank}
