"""What pruning left as it was: layers that compute what they did, of what they did. They have nothing to learn, and gradients end there."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from edgekit.converters.graph import Graph, Node

ROUNDING = 1e-4
"""How far a weight may be from the source's, as a share of its constant's largest, to count as the same."""


def untouched(source: Graph, pruned: Graph) -> frozenset[str]:
    """The constants of `pruned` that only nodes read which compute what their namesakes in `source` do; none when that is all of them."""
    theirs = {node.name: node for node in source.nodes}
    same = {spec.name for spec in source.inputs}
    still, changed = set[str](), set[str]()
    for node in pruned.nodes:
        old = theirs.get(node.name)
        alike = old is not None and _alike(source, pruned, old, node, same)
        (still if alike else changed).update(name for name in node.inputs if name in pruned.constants)
        same.update(node.outputs if alike else ())
    return frozenset(still - changed) if changed else frozenset()


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
