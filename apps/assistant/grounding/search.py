"""Hybrid search: words (BM25), vectors and best sentences, each a ranking, fused by reciprocal rank.

Reciprocal rank fusion: Cormack, Clarke and Buettcher 2009, doi 10.1145/1571941.1572114; k = 60 is theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.apps.assistant.grounding.embedder import Embedder
from edgekit.apps.assistant.grounding.near import Near, none_yet
from edgekit.apps.assistant.grounding.store import Passage, Store
from edgekit.apps.assistant.grounding.support import Question
from edgekit.apps.assistant.grounding.vector_index import VectorIndex
from edgekit.apps.assistant.grounding.words import content_words
from edgekit.core.progress import Progress

FUSION_K = 60
CANDIDATES = 50
"""Chunks of each ranking that are fused."""
READ = 10
"""Of the fused ones, how many are read sentence by sentence."""
WORDS = 64
"""Words of a question that are searched for."""
NEAR = 100
"""Where vectors are made of words, BM25 weighs the nearest chunks alone: it takes a hundredth of a millisecond for each."""
SMALL, WEIGHED = 2000, 400
"""With other vectors, in a store of more chunks than the first, it weighs those with the rarest words, about the second at most."""
BY_WORDS = 3
"""Times that the ranking by vectors counts where they are made of words: they hold what BM25 goes by, and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found. `score` is the share of the question, rare words counting more, that its best sentence covers."""

    passage: Passage
    score: float


class Search:
    """Searches a store. The vectors are held in memory, and kept in step when documents change. For any number of threads."""

    def __init__(self, store: Store, embedder: Embedder, index: VectorIndex | None = None) -> None:
        self._store = store
        self._embedder = embedder
        self._index = index
        self._lock = threading.Lock()
        self._revision = -1
        self._known: dict[str, int] = {}
        self._near: Near | None = None

    def settle(self, progress: Progress, stop: threading.Event) -> None:
        """Make, or extend, the index of the vectors where that pays. It may take minutes; questions are answered meanwhile."""
        if self._index is None:
            return
        settled = self._index.settled(self._current(), progress, stop)
        if settled is not None:
            with self._lock:
                self._near, self._revision = settled, -1

    def find(self, question: str, top: int) -> list[Hit]:
        """The best passages first; none when no word of the question, or piece of one, is in any document."""
        near = self.nearest(question, NEAR)
        rankings = [self.matching(question, near), *[near[:CANDIDATES]] * (BY_WORDS if self._embedder.by_words else 1)]
        first = fused(rankings)[: max(READ, top)]
        passages = self._store.passages(first)
        asked = self.asked(question)
        scores = {chunk: asked.best(passages[chunk].apart) for chunk in first if chunk in passages}
        by_sentences = sorted(scores, key=lambda chunk: -scores[chunk])
        order = [chunk for chunk in fused([*rankings, by_sentences]) if chunk in scores]
        return [Hit(passage=passages[chunk], score=scores[chunk]) for chunk in order[:top]]

    def matching(self, question: str, near: Sequence[int]) -> list[int]:
        """Ids of the chunks that have words of the question, best first, of those that are worth weighing."""
        return self._store.matching(expression(question), CANDIDATES, self._worth_weighing(question, near))

    def _worth_weighing(self, question: str, near: Sequence[int]) -> Sequence[int] | None:
        """The chunks `near` by words, or those that have a rare one; None for all."""
        if self._embedder.by_words:
            return near
        if len(self._current().ids) <= SMALL:
            return None
        rare = rarest(self._frequencies(_searched(question)), WEIGHED)
        return self._store.having(_any_of(rare)) if rare else []

    def asked(self, question: str) -> Question:
        """The question with its words weighed by how rare they are in the documents."""
        count = len(self._current().ids)
        return Question(question, self._frequencies(content_words(question)), count)

    def _frequencies(self, words: Sequence[str]) -> dict[str, int]:
        """How many chunks have each word; counted once until documents change."""
        known = self._known
        if unknown := [word for word in words if word not in known]:
            known |= self._store.frequencies(unknown)
        return {word: known[word] for word in words}

    def nearest(self, question: str, top: int) -> list[int]:
        """Ids of the chunks whose vectors are nearest, best first."""
        return self._current().nearest(question, top)

    def _current(self) -> Near:
        with self._lock:
            revision = self._store.revision()
            if self._near is None or revision != self._revision:
                self._near = self._caught_up(self._near or self._begun())
                self._known = {}
                self._revision = revision
            return self._near

    def _begun(self) -> Near:
        return self._index.begun() if self._index is not None else none_yet(self._embedder)

    def _caught_up(self, near: Near) -> Near:
        """With what is new and without what is gone: while documents are read, every question finds a few more."""
        new, stored = self._store.vectors(after=int(near.ids[-1]) if len(near.ids) else 0)
        kept = np.ones(len(near.ids), bool)
        if self._store.count() != len(near.ids) + len(new):
            kept = np.isin(near.ids, self._store.ids())
        return near.changed(kept, new, stored)


def expression(question: str) -> str:
    """The FTS5 expression for any of the question's content words. Quoted, so that no word is an operator."""
    return _any_of(_searched(question)) or '""'


def rarest(frequencies: Mapping[str, int], most: int) -> list[str]:
    """The rarest words that are in `most` chunks together; the rarest there is, in any case."""
    found, total = list[str](), 0
    for word, count in sorted(frequencies.items(), key=lambda item: item[1]):
        if not count:
            continue
        total += count
        if found and total > most:
            break
        found.append(word)
    return found


def _searched(question: str) -> list[str]:
    return list(dict.fromkeys(content_words(question)))[:WORDS]


def _any_of(words: Sequence[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)


def fused(rankings: Iterable[Sequence[int]]) -> list[int]:
    """One ranking of all that is in any: the sum of 1 / (60 + place)."""
    total: dict[int, float] = {}
    for ranking in rankings:
        for place, item in enumerate(ranking, 1):
            total[item] = total.get(item, 0.0) + 1 / (FUSION_K + place)
    return sorted(total, key=lambda item: -total[item])
