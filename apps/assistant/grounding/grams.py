"""The embedder that needs no model: words, pairs of words, and the pieces of four letters in them, counted.

Pieces of words forgive spelling, plurals and endings, which FTS5's stemmed words do not; pairs tell `Super Bowl` from a bowl that is
super. The vectors are sparse and weighed as
BM25 weighs words (Robertson and Zaragoza 2009, doi 10.1561/1500000019), with what is rare counting more; the weights come from
the chunks that are there, so adding one asks nothing of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.assistant.grounding.embedder import Scores, Vectors
from edgekit.apps.assistant.grounding.words import content_words

SATURATION, LENGTH = 1.2, 0.75
"""BM25's k1 and b, as FTS5 has them."""
WHOLE = 2.0
"""What a word, and a pair of words, count for one of its pieces."""
_PIECE = "~"
_PAIR = np.dtype([("feature", "<u4"), ("count", "u1")])


class GramEmbedder:
    """Words, pairs and pieces of words, hashed to 32 bits."""

    name = "grams and pairs"
    by_words = True

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """The features of each text and how often each occurs, at most 255 times."""
        return [_encoded(Counter(features(text))) for text in texts]

    def vectors(self, stored: Sequence[bytes]) -> Vectors:
        """All of them by feature."""
        return Postings([np.frombuffer(one, _PAIR) for one in stored])


class Postings:
    """Exact search: for each feature of the question, the chunks that have it."""

    def __init__(self, chunks: Sequence[NDArray[np.void]]) -> None:
        sizes = np.array([len(chunk) for chunk in chunks], np.int64)
        pairs = np.concatenate(chunks) if chunks else np.zeros(0, _PAIR)
        order = np.argsort(pairs["feature"], kind="stable")
        self._count = len(chunks)
        self._features, self._starts = np.unique(pairs["feature"][order], return_index=True)
        self._ends = np.append(self._starts[1:], len(pairs))
        self._chunks = np.repeat(np.arange(len(chunks), dtype=np.int32), sizes)[order]
        self._weights = _weights(pairs, sizes)[order]

    def scores(self, question: str) -> Scores:
        """BM25 of the question's features. With no chunk near, all are 0."""
        spans = list(self._asked(question))
        if not spans:
            return np.zeros(self._count, np.float32)
        chunks = np.concatenate([self._chunks[start:end] for start, end, _ in spans])
        weights = np.concatenate([self._weights[start:end] * weight for start, end, weight in spans])
        found: Scores = np.bincount(chunks, weights, minlength=self._count).astype(np.float32)
        return found

    def _asked(self, question: str) -> Iterator[tuple[int, int, np.float32]]:
        """Where the postings of each known feature of the question begin and end, and what it counts."""
        names = sorted(set(features(question)))
        hashed = _hashed(names)
        for name, feature, at in zip(names, hashed, np.searchsorted(self._features, hashed), strict=True):
            if at < len(self._features) and self._features[at] == feature:
                start, end = int(self._starts[at]), int(self._ends[at])
                whole = 1.0 if name.endswith(_PIECE) else WHOLE
                yield start, end, np.float32(whole * rarity(end - start, self._count))


def features(text: str) -> Iterator[str]:
    """Each content word whole, the pieces of it, and each two that follow one another."""
    every = content_words(text)
    for word in every:
        yield f"<{word}>"
        if len(word) > 2:
            yield from (piece + _PIECE for piece in pieces(word))
    yield from (f"{before} {after}" for before, after in pairwise(every))


@lru_cache(maxsize=1 << 15)
def pieces(word: str) -> tuple[str, ...]:
    """The runs of four letters in a word whose ends are marked: `<wor word ord>`; a shorter one is a piece itself."""
    marked = f"<{word}>"
    return tuple(marked[at : at + 4] for at in range(max(len(marked) - 3, 1)))


def rarity(having: int, of: int) -> float:
    """BM25's weight of a feature that `having` of `of` texts have."""
    return float(np.log1p((of - having + 0.5) / (having + 0.5)))


def _weights(pairs: NDArray[np.void], sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    """How much each feature counts in its chunk: often counts more, but less and less, and in a long chunk less."""
    counts = pairs["count"].astype(np.float32)
    ends = np.cumsum(sizes)
    running = np.append(0.0, np.cumsum(counts, dtype=np.float64))
    lengths = running[ends] - running[ends - sizes]
    share = np.repeat(lengths / max(lengths.mean(), 1.0) if len(lengths) else lengths, sizes)
    weights = counts * (SATURATION + 1) / (counts + SATURATION * (1 - LENGTH + LENGTH * share))
    found: NDArray[np.float32] = weights.astype(np.float32)
    return found


def _encoded(counts: Counter[str]) -> bytes:
    pairs = np.zeros(len(counts), _PAIR)
    pairs["feature"] = _hashed(counts)
    pairs["count"] = np.minimum(list(counts.values()), 255)
    return pairs.tobytes()


def _hashed(names: Sequence[str] | set[str] | Counter[str]) -> NDArray[np.uint32]:
    return np.fromiter((crc32(name.encode()) for name in names), np.uint32, len(names))
