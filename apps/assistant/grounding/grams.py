"""The embedder that needs no model: words and the pieces of four letters in them, counted.

Pieces of words forgive spelling, plurals and endings, which FTS5's stemmed words do not. The vectors are sparse and weighed as
BM25 weighs words (Robertson and Zaragoza 2009, doi 10.1561/1500000019), with what is rare counting more; the weights come from
the chunks that are there, so adding one asks nothing of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.assistant.grounding.embedder import Scores, Vectors
from edgekit.apps.assistant.grounding.words import content_words

SATURATION, LENGTH = 1.2, 0.75
"""BM25's k1 and b, as FTS5 has them."""
_PAIR = np.dtype([("feature", "<u4"), ("count", "u1")])


class GramEmbedder:
    """Words and pieces of words, hashed to 32 bits."""

    name = "grams"
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
        asked = np.unique(_hashed(set(features(question))))
        at = np.searchsorted(self._features, asked)
        known = at[self._features[np.minimum(at, len(self._features) - 1)] == asked] if len(self._features) else at[:0]
        if not len(known):
            return np.zeros(self._count, np.float32)
        spans = [(int(self._starts[one]), int(self._ends[one])) for one in known]
        chunks = np.concatenate([self._chunks[start:end] for start, end in spans])
        weights = np.concatenate([self._weights[start:end] * rarity(end - start, self._count) for start, end in spans])
        found: Scores = np.bincount(chunks, weights, minlength=self._count).astype(np.float32)
        return found


def features(text: str) -> Iterator[str]:
    """Each content word whole, and the pieces of it."""
    for word in content_words(text):
        yield f"<{word}>"
        if len(word) > 2:
            yield from (piece + "~" for piece in pieces(word))


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
