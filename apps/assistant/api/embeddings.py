"""`/v1/embeddings`: texts, or texts as tokens, as vectors."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from edgekit.apps.assistant.api import requests
from edgekit.apps.assistant.api.errors import Refused
from edgekit.apps.assistant.assistant import Assistant
from edgekit.apps.assistant.generation import NO_MODEL, NO_MODEL_HINT, Measured
from edgekit.core.errors import NotFound, Unsupported
from edgekit.runtimes.text import Done, TextSession, Timings


def embedded(assistant: Assistant, asked: requests.EmbeddingRequest) -> dict[str, Any]:
    """The answer in OpenAI's shape. Raises `Unsupported` without a model, and `Refused` for what is no text."""
    engine = assistant.generator.engine
    if engine is None:
        raise Unsupported(NO_MODEL, NO_MODEL_HINT)
    if asked.model and asked.model != engine.name:
        raise NotFound(f"there is no model {asked.model[:80]!r} that embeds", f"there is {engine.name!r}")
    if asked.encoding_format not in (None, "float", "base64"):
        raise Refused("encoding_format is float or base64", param="encoding_format")
    session = engine.session()
    measured = Measured(model=session.model)
    texts, count = _texts(asked.input, session)
    rows = session.embed(texts).astype("<f4")
    measured.see(Done(reason="stop", timings=Timings(prompt_n=count)))
    assistant.record("embedding", measured)
    if asked.dimensions is not None and asked.dimensions != rows.shape[1]:
        raise Refused(f"this model's vectors have {rows.shape[1]} dimensions", param="dimensions")
    as_base64 = asked.encoding_format == "base64"
    data = [{"object": "embedding", "index": at, "embedding": _row(row, as_base64)} for at, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": engine.name, "usage": {"prompt_tokens": count, "total_tokens": count}}


def _texts(given: str | list[str | int | list[int]], session: TextSession) -> tuple[list[str], int]:
    """The texts to embed, whatever they were given as, and how many tokens they have."""
    alone = isinstance(given, str) or all(isinstance(one, int) for one in given)
    many: list[Any] = [given] if alone else list(given)
    if not given or len(many) > requests.TEXTS or not all(many):
        raise Refused(f"1 to {requests.TEXTS} texts are embedded at once, none of them empty", param="input")
    if any(isinstance(one, int) for one in many):
        raise Refused("texts and tokens are not embedded together", param="input")
    texts = [one if isinstance(one, str) else session.detokenize(one) for one in many]
    return texts, sum(len(session.tokenize(text)) for text in texts)


def _row(row: Any, as_base64: bool) -> str | list[float]:
    return base64.b64encode(np.ascontiguousarray(row).tobytes()).decode() if as_base64 else [float(value) for value in row]
