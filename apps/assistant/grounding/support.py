"""How much of what is asked, or said, a text covers: word by word, forgiving endings and spelling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from edgekit.apps.assistant.grounding.grams import pieces, rarity
from edgekit.apps.assistant.grounding.words import Apart, content_words, taken_apart, words

ALIKE = 0.4
"""Two words that share less of their pieces have nothing to do with each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """Characters `start` to `end` of a text. `score` is the share of the question it covers, from 0 to 1."""

    start: int
    end: int
    score: float


class Question:
    """The content words of a question, or of a claim, and how much each counts."""

    def __init__(self, text: str, frequencies: Mapping[str, int] | None = None, of: int = 0) -> None:
        """`frequencies` are the chunks, of all `of`, that have each word: the rarer, the more it counts."""
        known = frequencies or {}
        self.weights = {word: rarity(known.get(word, 0), of) if of else 1.0 for word in content_words(text)}
        self._total = sum(self.weights.values()) or 1.0
        self._by_piece: dict[str, list[str]] = {}
        self._sizes = dict.fromkeys(self.weights, 0)
        for word in self.weights:
            for piece in pieces(word):
                self._by_piece.setdefault(piece, []).append(word)
                self._sizes[word] += 1
        self._pieces = frozenset(self._by_piece)
        self._alike: dict[str, dict[str, float]] = {}
        self._compared: set[str] = set()

    def best(self, apart: Apart) -> float:
        """The score of the sentence that covers most."""
        return max((sentence.score for sentence in self._scored(apart)), default=0.0)

    def all(self, text: str) -> Iterator[Sentence]:
        """Every sentence of `text`."""
        return self._scored(taken_apart(text))

    def _scored(self, apart: Apart) -> Iterator[Sentence]:
        self._compare(set[str]().union(*[found for _, _, found in apart]))
        return (Sentence(start=start, end=end, score=self._share(found)) for start, end, found in apart)

    def covered(self, text: str) -> float:
        """The share of the words, by weight, that are in `text`, or something like them."""
        found = frozenset(words(text))
        self._compare(found)
        return self._share(found)

    def _share(self, found: frozenset[str]) -> float:
        nearest: dict[str, float] = {}
        for word in found & self._alike.keys():
            for asked, share in self._alike[word].items():
                nearest[asked] = max(nearest.get(asked, 0.0), share)
        return sum(weight * nearest[word] for word, weight in self.weights.items() if word in nearest) / self._total

    def _compare(self, found: Set[str]) -> None:
        """Compare each word with those asked for, once. Most have no piece in common with any: they are many, and told apart first."""
        differs = self._pieces.isdisjoint
        new = found - self._compared
        self._compared |= new
        for word in new:
            if not differs(pieces(word)) and (alike := self._likeness(word)):
                self._alike[word] = alike

    def _likeness(self, word: str) -> dict[str, float]:
        """For each asked word that is something like `word`, the share of its pieces that both have."""
        if word in self.weights:
            return {word: 1.0}
        shared: dict[str, int] = {}
        for piece in self._by_piece.keys() & pieces(word):
            for asked in self._by_piece[piece]:
                shared[asked] = shared.get(asked, 0) + 1
        shares = {asked: min(count / self._sizes[asked], 1.0) for asked, count in shared.items()}
        return {asked: share for asked, share in shares.items() if share >= ALIKE}
