"""Does a language model's file say next what its source says next: both are asked about the same text, token by token.

The measure is the mean divergence (Kullback-Leibler, in nats) of the file's distributions from the source's. The source's likeliest
tokens and their probabilities travel in the artifact, so that it can be checked on any board.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import ArtifactError
from edgekit.core.schema import Parity, Precision
from edgekit.runtimes.language.opening import open_text
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import TextOptions

Array = NDArray[Any]
TEXT = (
    "The board stood on the workbench beside a cup of cold tea. Nobody had asked it anything for hours, and its small fan had "
    'stopped. "How many steps are there from the harbour to the lighthouse?" said the girl at last. It answered slowly, one word '
    "after the other: there are 312 steps, and 14 of them are missing, so take the path behind the old church instead."
)
MOST_TOKENS = 64
LIKELIEST = 64
"""So many of the source's next tokens are kept for each place; the rest counts as one."""
TOLERANCE: Mapping[str, float] = {
    "fp32": 0.002,
    "fp16": 0.004,
    "q8_0": 0.02,
    "q6_k": 0.05,
    "q5": 0.15,
    "q4": 0.5,
    "iq4_nl": 0.5,
    "q3": 1.0,
    "q2": 2.0,
}
"""Nats. Above these the file is damaged, not merely small: good ones are far below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What the source says after each token: its likeliest next tokens, [places, LIKELIEST], and their probabilities."""

    tokens: tuple[int, ...]
    likeliest: Array
    probabilities: Array


def spoken(tokens: Sequence[int], scores: Array) -> Spoken:
    """Keep what is likeliest of the source's scores (logits or logarithms), [len(tokens), vocabulary]."""
    probabilities = np.exp(log_softmax(scores))
    count = min(LIKELIEST, scores.shape[1])
    likeliest = np.argpartition(-probabilities, count - 1, axis=1)[:, :count].astype(np.int32)
    kept = np.take_along_axis(probabilities, likeliest, axis=1).astype(np.float32)
    return Spoken(tokens=tuple(tokens), likeliest=likeliest, probabilities=kept)


def log_softmax(scores: Array) -> Array:
    """Logarithms of probabilities, in double precision."""
    scores = np.asarray(scores, np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def divergence(source: Spoken, scores: Array) -> float:
    """Mean over all places of the divergence of `scores` from the source, its unlikely tokens taken as one."""
    given = np.exp(np.take_along_axis(log_softmax(scores), source.likeliest.astype(np.int64), axis=1))
    wanted = source.probabilities.astype(np.float64)
    wanted = np.concatenate([wanted, 1 - wanted.sum(axis=1, keepdims=True)], axis=1).clip(1e-9)
    given = np.concatenate([given, 1 - given.sum(axis=1, keepdims=True)], axis=1).clip(1e-9)
    return float(max(0.0, np.mean(np.sum(wanted * (np.log(wanted) - np.log(given)), axis=1))))


def perplexity(tokens: Sequence[int], scores: Array) -> float:
    """How surprised the scores are by the tokens that follow; 1 is not at all."""
    logs = log_softmax(scores[:-1])
    return float(np.exp(-np.mean(logs[np.arange(len(tokens) - 1), np.asarray(tokens[1:])])))


def judged(source: Spoken, scores: Array, precision: Precision) -> Parity:
    """The divergence, held to what the precision allows."""
    found, limit = divergence(source, scores), tolerance(precision)
    return Parity(
        metric="kl_nats", value=found, tolerance=limit, ok=found <= limit, worst_output="next token", samples=len(source.tokens)
    )


def tolerance(precision: str) -> float:
    """By precision, else by its first two characters: q4_k_m is a q4."""
    return TOLERANCE[precision] if precision in TOLERANCE else TOLERANCE[precision[:2]]


def scored(model: Path, tokens: Sequence[int], engine: str = "auto") -> tuple[Array, str]:
    """What an engine here says of the tokens, and which engine it was. Raises what opening and scoring raise."""
    session = open_text(model, engine=engine, options=TextOptions(context=max(64, len(tokens) + 8)))
    try:
        assert isinstance(session, SupervisedSession)  # files are opened by no other
        return session.score(tokens), session.model.engine
    finally:
        session.close()


def golden_tokens(model: Path, context: int, begin: int | None, engine: str = "auto") -> tuple[int, ...]:
    """`TEXT` as the model splits it, no longer than its context."""
    count = min(MOST_TOKENS, context - 1)
    session = open_text(model, engine=engine, options=TextOptions(context=64))
    try:
        tokens = session.tokenize(TEXT)
    finally:
        session.close()
    return ((begin,) if begin is not None else ())[:count] + tuple(tokens)[: count - (begin is not None)]


def random_tokens(vocabulary: int, context: int) -> tuple[int, ...]:
    """Tokens of no meaning, always the same ones."""
    return tuple(map(int, np.random.default_rng(0).integers(0, vocabulary, min(MOST_TOKENS, context - 1))))


def golden_bytes(source: Spoken) -> bytes:
    """The file that travels in the artifact."""
    buffer = io.BytesIO()
    np.savez(buffer, tokens=np.asarray(source.tokens, np.int32), likeliest=source.likeliest, probabilities=source.probabilities)
    return buffer.getvalue()


def read_golden(path: Path) -> Spoken:
    """What `golden_bytes` wrote. Raises `ArtifactError` for anything else."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            tokens, likeliest, probabilities = (stored[name] for name in ("tokens", "likeliest", "probabilities"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as exc:
        raise ArtifactError(f"{path.name!r} holds no answers of a language model: {exc}", "convert the model again") from exc
    if tokens.ndim != 1 or likeliest.shape != probabilities.shape or len(likeliest) != len(tokens):
        raise ArtifactError(f"{path.name!r} is damaged: its arrays do not belong together", "convert the model again")
    return Spoken(tokens=tuple(map(int, tokens)), likeliest=likeliest, probabilities=probabilities)
