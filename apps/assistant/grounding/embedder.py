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
        rows = [np.frombuffer(one, "<f4") for one in stored]
        return Dense(np.stack(rows) if rows else np.zeros((0, 0), np.float32), self)


class Dense:
    """Exact search: the product of every row with the question's."""

    def __init__(self, rows: NDArray[np.float32], embedder: ModelEmbedder) -> None:
        self._rows = rows
        self._embedder = embedder

    def scores(self, question: str) -> Scores:
        """Cosines."""
        if not len(self._rows):
            return np.zeros(0, np.float32)
        (row,) = self._embedder.embed([self._embedder.query + question])
        found: Scores = self._rows @ row.astype(np.float32)
        return found
