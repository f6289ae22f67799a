"""Which chunks are near a question: found by comparing it with every one, or through a graph of them beside the few that came since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.assistant.grounding.embedder import Dense, Embedder, ModelEmbedder, Scores, Vectors
from edgekit.apps.assistant.grounding.graph import Graph, Ids

Kept = NDArray[np.bool_]


class Near(Protocol):
    """All chunks by their vectors."""

    @property
    def ids(self) -> Ids:
        """Of the chunks, in order."""
        ...

    def nearest(self, question: str, top: int) -> list[int]:
        """Ids of the chunks that are near, best first."""
        ...

    def changed(self, kept: Kept, ids: Sequence[int], new: Sequence[bytes]) -> Near:
        """Those of the chunks that are `kept`, and new ones, whose ids are higher, behind them."""
        ...


@dataclass(frozen=True, slots=True)
class Exact:
    """Compares with every chunk."""

    ids: Ids
    vectors: Vectors

    def nearest(self, question: str, top: int) -> list[int]:
        """The nearest there are."""
        return best(self.ids, self.vectors.scores(question), top)

    def changed(self, kept: Kept, ids: Sequence[int], new: Sequence[bytes]) -> Exact:
        """The same as if all were held anew."""
        return Exact(np.append(self.ids[kept], np.array(ids, np.int64)), self.vectors.changed(kept, new))


class Approximate:
    """Asks the graph, and compares with the chunks that came after it. Chunks that went are in the graph still, and left out."""

    def __init__(self, graph: Graph, alive: Kept, fresh_ids: Ids, fresh: Dense, embedder: ModelEmbedder) -> None:
        self.graph, self.alive, self.fresh = graph, alive, fresh
        self._fresh_ids, self._embedder = fresh_ids, embedder
        self.ids: Ids = np.append(graph.ids[alive], fresh_ids)

    def nearest(self, question: str, top: int) -> list[int]:
        """Nearly always the nearest there are."""
        row = self._embedder.asked(question)
        ids, scores = self.graph.nearest(row, top, self.alive)
        return best(np.append(ids, self._fresh_ids), np.append(scores, self.fresh.near(row)), top)

    def changed(self, kept: Kept, ids: Sequence[int], new: Sequence[bytes]) -> Approximate:
        """The same graph with others left out, and others beside it."""
        alive, before = self.alive.copy(), int(self.alive.sum())
        alive[self.alive] = kept[:before]
        fresh_ids = np.append(self._fresh_ids[kept[before:]], np.array(ids, np.int64))
        return Approximate(self.graph, alive, fresh_ids, self.fresh.changed(kept[before:], new), self._embedder)


def none_yet(embedder: Embedder) -> Exact:
    """No chunk at all."""
    return Exact(np.zeros(0, np.int64), embedder.vectors([]))


def best(ids: Ids, scores: Scores, top: int) -> list[int]:
    """Those with the highest scores, of the ones that have any."""
    count = min(top, len(scores))
    found = np.argpartition(-scores, count - 1)[:count] if count else np.zeros(0, np.int64)
    ordered = found[np.argsort(-scores[found], kind="stable")]
    return [int(ids[at]) for at in ordered if scores[at] > 0]
