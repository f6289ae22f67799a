"""What turns texts into vectors: the protocol, and the exact search over dense ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


class Vectors(Protocol):
    """The vectors of all chunks, ready to be searched."""

    def scores(self, question: str) -> Scores:
        """How near each chunk is to the question, in the order of the chunks; 0 or less is not near at all."""
        ...

    def changed(self, kept: NDArray[np.bool_], new: Sequence[bytes]) -> Vectors:
        """Those of the chunks that are `kept`, and new ones behind them."""
        ...


class Embedder(Protocol):
    """Texts to vectors. `name` tells vectors of different embedders apart: only equal ones are compared."""

    @property
    def name(self) -> str: ...
    @property
    def by_words(self) -> bool:
        """Whether only what shares words with a question is near it."""
        ...

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text, as it is stored."""
        ...

    def vectors(self, stored: Sequence[bytes]) -> Vectors:
        """What `encode` made, for searching."""
        ...


class Embed(Protocol):
    """A model that embeds: float32 rows of length 1."""

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEmbedder:
    """An embedding model behind any of edgekit's runtimes. `query` and `passage` go before the texts, as such models want."""

    name: str
    embed: Embed
    query: str = ""
    passage: str = ""
    by_words: bool = False

    def encode(self, texts: Sequence[str]) -> list[bytes]:
        """Rows as float32, little endian."""
        rows = self.embed([self.passage + text for text in texts])
        return [row.astype("<f4").tobytes() for row in rows]

    def vectors(self, stored: Sequence[bytes]) -> Vectors:
        """All rows in one matrix."""
        return Dense(matrix(stored), self)

    def asked(self, question: str) -> NDArray[np.float32]:
        """The question's row."""
        (row,) = self.embed([self.query + question])
        found: NDArray[np.float32] = row.astype(np.float32)
        return found


class Dense:
    """Exact search: the product of every row with the question's."""

    def __init__(self, rows: NDArray[np.float32], embedder: ModelEmbedder) -> None:
        self._rows = rows
        self._embedder = embedder

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return int(self._rows.shape[1])

    @property
    def numbers(self) -> int:
        """Numbers in all rows."""
        return int(self._rows.size)

    def scores(self, question: str) -> Scores:
        """Cosines."""
        if not self._rows.size:  # no chunk, or not one of whose vectors is made yet
            return np.zeros(len(self._rows), np.float32)
        return self.near(self._embedder.asked(question))

    def near(self, row: NDArray[np.float32]) -> Scores:
        """Cosines with the row of a question."""
        found: Scores = self._rows @ row
        return found

    def changed(self, kept: NDArray[np.bool_], new: Sequence[bytes]) -> Dense:
        """One matrix again."""
        rows = self._rows if kept.all() else self._rows[kept]
        width = max([rows.shape[1], *(len(one) // 4 for one in new)])
        wide = rows if rows.shape[1] == width else np.zeros((len(rows), width), np.float32)
        return Dense(np.concatenate([wide, matrix(new, width)]), self._embedder)


def matrix(stored: Sequence[bytes], width: int = 0) -> NDArray[np.float32]:
    """A row for each vector; zeros where there is none yet."""
    found = np.zeros((len(stored), width or max((len(one) // 4 for one in stored), default=0)), np.float32)
    for row, one in zip(found, stored, strict=True):
        if one:
            row[:] = np.frombuffer(one, "<f4")
    return found
