"""Labels of channels: one number per position along an axis, tied where two positions can only go together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Axes = tuple[Ints | None, ...]
"""For each axis of a tensor the label of every position, or None where nothing may be removed."""


class Channels:
    """Union-find over labels; a set of tied labels is removed as one, or kept because one of them is frozen."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._frozen: dict[int, str] = {}

    def fresh(self, count: int) -> Ints:
        """`count` labels that are tied to nothing yet."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count, dtype=np.int64)

    def tie(self, one: Ints, other: Ints) -> None:
        """Position by position, what `one` and `other` label must go together."""
        if np.array_equal(one, other):
            return
        for a, b in {(int(a), int(b)) for a, b in zip(one.flat, other.flat, strict=True)}:
            low, high = sorted((self._root(a), self._root(b)))
            self._parent[high] = low

    def freeze(self, labels: Ints, reason: str) -> None:
        """Keep everything that carries one of these labels; the first reason given for a label is remembered."""
        for label in np.unique(labels):
            self._frozen.setdefault(int(label), reason)

    def roots(self) -> Ints:
        """The representative of every label."""
        return np.array([self._root(label) for label in range(len(self._parent))], dtype=np.int64)

    def frozen(self) -> Mapping[int, str]:
        """Root -> why the whole set is kept."""
        found: dict[int, str] = {}
        for label, reason in self._frozen.items():
            found.setdefault(self._root(label), reason)
        return found

    def _root(self, label: int) -> int:
        parent = self._parent
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label
