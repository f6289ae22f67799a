"""An embedding network of BERT's family as an artifact, run by whichever of edgekit's runtimes takes it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.assistant.grounding.wordpiece import WordPiece, read_vocabulary
from edgekit.core.errors import Unsupported
from edgekit.core.schema import TensorSpec
from edgekit.loading import load
from edgekit.runtimes.face import FaceSession

IDS, MASK, KINDS = "input_ids", "attention_mask", "token_type_ids"
HINT = "convert it with --input-shape input_ids=1x256, attention_mask=1x256"


class Network:
    """Texts to rows of length 1: the mean over a text's tokens, or what the network has pooled itself. For any number of threads."""

    def __init__(self, session: FaceSession, vocabulary: WordPiece) -> None:
        self._session, self._vocabulary, self._turn = session, vocabulary, threading.Lock()
        self._inputs = {spec.name: spec for spec in session.inputs}
        self._longest = _ensured(self._inputs)
        self._output = session.outputs[0].name

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Float32 [len(texts), width]."""
        with self._turn:
            rows = [self._row(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def _row(self, text: str) -> NDArray[np.float32]:
        tokens = self._vocabulary.encode(text, self._longest)
        ids = np.full((1, self._longest), self._vocabulary.padding, np.int64)
        ids[0, : len(tokens)] = tokens
        mask = (np.arange(self._longest) < len(tokens)).astype(np.int64)[None]
        given = {IDS: ids, MASK: mask, KINDS: np.zeros_like(ids)}
        feed = {name: given[name].astype(spec.dtype) for name, spec in self._inputs.items()}
        return pooled(self._session.run(feed)[self._output], mask)

    def close(self) -> None:
        """Closing again does nothing."""
        self._session.close()


def open_network(artifact: Path, vocabulary: Path) -> Network:
    """The network in that artifact folder. Raises what loading raises, and `Unsupported` for a network of another kind."""
    words = read_vocabulary(vocabulary)
    session = load(artifact)
    try:
        return Network(session, words)
    except Unsupported:
        session.close()
        raise


def pooled(found: NDArray[np.float32], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    """One row of length 1: of [1, tokens, width] the mean of the tokens that are there, of [1, width] the row itself."""
    row = found[0]
    if row.ndim == 2:
        weights = mask[0].astype(np.float32)
        row = weights @ row / max(float(weights.sum()), 1.0)
    length = float(np.linalg.norm(row))
    unit: NDArray[np.float32] = (row / length if length else row).astype(np.float32)
    return unit


def _ensured(inputs: dict[str, TensorSpec]) -> int:
    """How many tokens it takes at a time."""
    if IDS not in inputs or (odd := sorted(inputs.keys() - {IDS, MASK, KINDS})):
        said = f"it has {', '.join(odd)}" if IDS in inputs else f"it has no {IDS}"
        raise Unsupported(f"this network is no embedding model of BERT's family: {said}", HINT)
    shape = inputs[IDS].shape
    if len(shape) != 2 or shape[0] != 1 or shape[1] < 3:
        raise Unsupported(f"{IDS} has the shape {list(shape)}, and must be 1 x tokens", HINT)
    return int(shape[1])
