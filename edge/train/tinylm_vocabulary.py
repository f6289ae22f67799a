"""A small vocabulary of word pieces, learnt from a text, that llama.cpp's sentencepiece tokenizer splits by in the same way.

Pieces are merged in the order in which they were found, which as scores (-1, -2, ...) is what that tokenizer goes by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgekit.core.errors import InputError

SPECIAL = (b"<unk>", b"<s>", b"</s>")
UNKNOWN, BEGIN, END = range(3)
BYTES_AT = len(SPECIAL)
SPACE = "\u2581"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Pieces by number (specials, 256 bytes, letters, merged pieces), and the rank of every merged one."""

    pieces: tuple[bytes, ...]
    ranks: Mapping[str, int]
    numbers: Mapping[str, int]

    def encode(self, text: str) -> list[int]:
        """Numbers of the pieces, a leading space included as the tokenizer adds one."""
        known: dict[str, list[int]] = {}
        found: list[int] = []
        for word in words(text):
            if word not in known:
                known[word] = self._word(word)
            found += known[word]
        return found

    def _word(self, word: str) -> list[int]:
        parts = list(word)
        while len(parts) > 1:
            ranked = [(self.ranks.get(left + right, len(self.ranks)), at) for at, (left, right) in enumerate(pairs(parts))]
            rank, at = min(ranked)
            if rank == len(self.ranks):
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [number for part in parts for number in self._numbers(part)]

    def _numbers(self, part: str) -> list[int]:
        return [self.numbers[part]] if part in self.numbers else [BYTES_AT + byte for byte in part.encode()]


def words(text: str) -> Iterator[str]:
    """The text in parts that no piece reaches across: each begins with its space, line ends stand alone."""
    word = ""
    for letter in SPACE + text.replace(" ", SPACE):
        if letter in (SPACE, "\n") or word == "\n":
            if word:
                yield word
            word = letter
        else:
            word += letter
    if word:
        yield word


def pairs(parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Neighbours."""
    return pairwise(parts)


def learn(text: str, size: int) -> Vocabulary:
    """The vocabulary of `size` pieces that shortens the text most, one merge at a time. Raises `InputError` for too small a text."""
    counts = Counter(words(text))
    letters = sorted({letter for word in counts for letter in word if letter != "\n"})
    room = size - BYTES_AT - 256 - len(letters)
    if room < 0:
        raise InputError(f"{len(letters)} different letters do not fit into {size} pieces", "a plainer text")
    spelled = {word: list(word) for word in counts}
    merged: list[str] = []
    found: Counter[tuple[str, str]] = Counter()
    for word, parts in spelled.items():
        _count(found, parts, counts[word])
    while len(merged) < room:
        best = _commonest(found)
        if best is None:
            raise InputError(f"the text has only {len(merged)} pieces worth having, {room} are needed", "a longer text")
        merged.append("".join(best))
        _merge(spelled, best, found, counts)
    return vocabulary_of([*letters, *merged], merged)


def vocabulary_of(pieces: Sequence[str], merged: Sequence[str]) -> Vocabulary:
    """The vocabulary of those letters and merged pieces."""
    first = BYTES_AT + 256
    stored = (*SPECIAL, *(b"<0x%02X>" % byte for byte in range(256)), *(piece.encode() for piece in pieces))
    numbers = {piece: first + index for index, piece in enumerate(pieces)}
    return Vocabulary(pieces=stored, ranks={piece: rank for rank, piece in enumerate(merged)}, numbers=numbers)


def _count(found: Counter[tuple[str, str]], parts: Sequence[str], times: int) -> None:
    for pair in pairs(parts):
        found[pair] += times


def _commonest(found: Mapping[tuple[str, str], int]) -> tuple[str, str] | None:
    """Of equals the last by letters, so that the same text always gives the same vocabulary."""
    best = max(found.items(), key=lambda item: (item[1], item[0]), default=None)
    return best[0] if best is not None and best[1] > 1 else None


def _merge(
    spelled: Mapping[str, list[str]], pair: tuple[str, str], found: Counter[tuple[str, str]], counts: Mapping[str, int]
) -> None:
    """Join the pair wherever it stands, and count the words in which it does anew."""
    joined = "".join(pair)
    for word, parts in spelled.items():
        if joined not in word or pair not in pairs(parts):
            continue
        _count(found, parts, -counts[word])
        at = 0
        while at < len(parts) - 1:
            if (parts[at], parts[at + 1]) == pair:
                parts[at : at + 2] = [joined]
            at += 1
        _count(found, parts, counts[word])
