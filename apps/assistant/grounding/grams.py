"""The embedder that needs no model: words, pairs of words, and the pieces of four letters in them, counted.

Pieces of words forgive spelling, plurals and endings, which FTS5's stemmed words do not; pairs tell `Super Bowl` from a bowl that is
super. The vectors are sparse and weighed as
BM25 weighs words (Robertson and Zaragoza 2009, doi 10.1561/1500000019), with what is rare counting more; the weights come from
the chunks that are there, so adding one asks nothing of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
LONGEST = 64
"""Letters of a word that is compared by its pieces."""
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
        return Postings((_part(stored, 0),), _lengths(stored))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Each feature of some chunks in its order, and from `starts` to the next one the chunks that have it, and how often."""

    features: NDArray[np.uint32]
    starts: NDArray[np.int64]
    chunks: NDArray[np.int32]
    counts: NDArray[np.uint8]

    def spread(self) -> NDArray[np.uint32]:
        """The feature of each posting."""
        return np.repeat(self.features, np.diff(self.starts))


class Postings:
    """Exact search: for each feature of the question, the chunks that have it.

    Chunks that come later are a part of their own, which is joined to the one before once it is half as large: so a chunk is sorted
    in a few times, however many come after it.
    """

    def __init__(self, parts: tuple[_Part, ...], lengths: NDArray[np.int64]) -> None:
        self._parts, self._lengths = parts, lengths
        mean = max(float(lengths.mean()), 1.0) if len(lengths) else 1.0
        damping: NDArray[np.float64] = SATURATION * (1 - LENGTH + LENGTH * (lengths / mean))
        self._weights = [_weights(part, damping) for part in parts]

    def scores(self, question: str) -> Scores:
        """BM25 of the question's features. With no chunk near, all are 0."""
        spans = list(self._asked(question))
        if not spans:
            return np.zeros(len(self._lengths), np.float32)
        chunks = np.concatenate([self._parts[number].chunks[start:end] for number, start, end, _ in spans])
        weights = np.concatenate([self._weights[number][start:end] * weight for number, start, end, weight in spans])
        found: Scores = np.bincount(chunks, weights, minlength=len(self._lengths)).astype(np.float32)
        return found

    def changed(self, kept: NDArray[np.bool_], new: Sequence[bytes]) -> Postings:
        """The same as if all were made anew."""
        parts = self._parts if kept.all() else tuple(_narrowed(part, kept) for part in self._parts)
        lengths = np.append(self._lengths[kept], _lengths(new))
        return Postings(_joined((*parts, _part(new, int(kept.sum())))), lengths)

    def _asked(self, question: str) -> Iterator[tuple[int, int, int, np.float32]]:
        """In which part the postings of each feature of the question begin and end, and what it counts."""
        names = sorted(set(features(question)))
        hashed = _hashed(names)
        spans = [_spans(part, hashed) for part in self._parts]
        having = np.sum([ends - starts for starts, ends in spans], axis=0)
        for at, name in enumerate(names):
            whole = 1.0 if name.endswith(_PIECE) else WHOLE
            weight = np.float32(whole * rarity(int(having[at]), len(self._lengths)))
            for number, (starts, ends) in enumerate(spans):
                if starts[at] < ends[at]:
                    yield number, int(starts[at]), int(ends[at]), weight


def _spans(part: _Part, hashed: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the postings of each feature begin and end; at the same place for one that no chunk has."""
    at = np.searchsorted(part.features, hashed)
    known = np.append(part.features, np.uint32(0))[at] == hashed
    known &= at < len(part.features)
    return np.where(known, part.starts[at], 0), np.where(known, part.starts[np.minimum(at + 1, len(part.features))], 0)


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
    """The runs of four letters in a word whose ends are marked: `<wor word ord>`; a shorter one is a piece itself.

    So is one that is longer than any word: a key or a drawing in letters is not misspelt, and its pieces would fill the memory.
    """
    marked = f"<{word}>"
    if len(word) > LONGEST:
        return (marked,)
    return tuple(marked[at : at + 4] for at in range(max(len(marked) - 3, 1)))


def rarity(having: int, of: int) -> float:
    """BM25's weight of a feature that `having` of `of` texts have."""
    return float(np.log1p((of - having + 0.5) / (having + 0.5)))


def _weights(part: _Part, damping: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much each feature counts in its chunk: often counts more, but less and less, and in a long chunk less."""
    counts = part.counts.astype(np.float32)
    weights = counts * (SATURATION + 1) / (counts + damping[part.chunks])
    found: NDArray[np.float32] = weights.astype(np.float32)
    return found


def _lengths(stored: Sequence[bytes]) -> NDArray[np.int64]:
    """How many features each chunk has, with those that come again."""
    return np.array([int(np.frombuffer(one, _PAIR)["count"].sum(dtype=np.int64)) for one in stored], np.int64)


def _part(stored: Sequence[bytes], first: int) -> _Part:
    """The postings of chunks that are numbered from `first`."""
    pairs = np.frombuffer(b"".join(stored), _PAIR)
    sizes = [len(one) // _PAIR.itemsize for one in stored]
    chunks = np.repeat(np.arange(first, first + len(stored), dtype=np.int32), sizes)
    return _sorted(pairs["feature"], chunks, pairs["count"])


def _sorted(names: NDArray[np.uint32], chunks: NDArray[np.int32], counts: NDArray[np.uint8]) -> _Part:
    order = np.argsort(names, kind="stable")  # which takes little for what is sorted in pieces
    known, starts = np.unique(names[order], return_index=True)
    return _Part(features=known, starts=np.append(starts, len(names)), chunks=chunks[order], counts=counts[order])


def _narrowed(part: _Part, kept: NDArray[np.bool_]) -> _Part:
    """The postings of the chunks that are kept, which move up."""
    chosen = kept[part.chunks]
    places = (np.cumsum(kept) - 1).astype(np.int32)
    return _sorted(part.spread()[chosen], places[part.chunks[chosen]], part.counts[chosen])


def _joined(parts: tuple[_Part, ...]) -> tuple[_Part, ...]:
    """The parts, the last ones as one as long as it is half as large as the one before."""
    while len(parts) > 1 and len(parts[-2].chunks) <= 2 * len(parts[-1].chunks):
        *rest, before, last = parts
        names = np.concatenate([before.spread(), last.spread()])
        together = (np.concatenate([before.chunks, last.chunks]), np.concatenate([before.counts, last.counts]))
        parts = (*rest, _sorted(names, *together))
    return parts


def _encoded(counts: Counter[str]) -> bytes:
    pairs = np.zeros(len(counts), _PAIR)
    pairs["feature"] = _hashed(counts)
    pairs["count"] = np.minimum(list(counts.values()), 255)
    return pairs.tobytes()


def _hashed(names: Sequence[str] | set[str] | Counter[str]) -> NDArray[np.uint32]:
    return np.fromiter((crc32(name.encode()) for name in names), np.uint32, len(names))
