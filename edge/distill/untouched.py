"""What pruning left as it was: layers that compute what they did, of what they did. They have nothing to learn, and nothing to compute
anew: what the source makes there is what the pruned network makes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from edgekit.converters.graph import Graph, Node

ROUNDING = 1e-4
"""How far a weight may be from the source's, as a share of its constant's largest, to count as the same."""


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """The constants that only such layers read, and what they make; nothing when they are all there is."""

    constants: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()
    tensors: frozenset[str] = frozenset()
    """Those of `made` that the other layers read."""


def untouched(source: Graph, pruned: Graph) -> Untouched:
    """The part of `pruned`, from its inputs on, whose nodes do what their namesakes in `source` do."""
    theirs = {node.name: node for node in source.nodes}
    same = {spec.name for spec in source.inputs}
    others: list[Node] = []
    still = set[str]()
    for node in pruned.nodes:
        old = theirs.get(node.name)
        if old is not None and _alike(source, pruned, old, node, same):
            same.update(node.outputs)
            still.update(node.inputs)
        else:
            others.append(node)
    read = {name for node in others for name in node.inputs}
    if not others:
        return Untouched()
    made = same & pruned.producers.keys()
    return Untouched(
        made=frozenset(made),
        constants=frozenset(name for name in still - read if name in pruned.constants),
        tensors=frozenset(made & read),
    )


def _alike(source: Graph, pruned: Graph, old: Node, node: Node, same: Collection[str]) -> bool:
    if (old.op, old.outputs, len(old.inputs), old.attributes) != (node.op, node.outputs, len(node.inputs), node.attributes):
        return False
    pairs = zip(old.inputs, node.inputs, strict=True)
    return all(_constant_alike(source, pruned, *pair) or (pair[0] == pair[1] and pair[0] in {"", *same}) for pair in pairs)


def _constant_alike(source: Graph, pruned: Graph, old: str, new: str) -> bool:
    one, other = source.constant(old), pruned.constant(new)
    if one is None or other is None or one.shape != other.shape:
        return False
    return bool(np.abs(other.astype(np.float64) - one).max(initial=0) <= ROUNDING * np.abs(one).max(initial=0))
