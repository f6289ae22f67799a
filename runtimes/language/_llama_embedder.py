"""Embeddings by libllama's C functions, in a context of their own: the conversation's memory stays as it is."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.runtimes.text import EngineRefused, TextModel

NAME = "llama_cpp"


class Embedder:
    """With a context that was made for embeddings, which is freed with it."""

    def __init__(self, c: Any, context: Any, model: TextModel) -> None:
        self._c, self._context, self._model = c, context, model

    def row(self, tokens: Sequence[int]) -> NDArray[Any]:
        """The text's row, of length 1. Raises `InputError` for no token, or more than the context has room for."""
        if not tokens or len(tokens) > self._model.context:
            raise InputError(f"a text of {len(tokens)} tokens cannot be embedded: 1 to {self._model.context} can", "split it")
        self._c.llama_memory_clear(self._c.llama_get_memory(self._context), True)
        array = (ctypes.c_int32 * len(tokens))(*tokens)  # the batch points into it, and so it must live as long
        status = self._c.llama_decode(self._context, self._c.llama_batch_get_one(array, len(tokens)))
        pointer = self._c.llama_get_embeddings_seq(self._context, 0) if status == 0 else None
        if not pointer:
            raise EngineRefused(f"{NAME} could not embed a text of {len(tokens)} tokens (llama_decode answered {status})")
        found: NDArray[Any] = np.ctypeslib.as_array(pointer, (self._model.embedding_length,)).astype(np.float32)
        length = float(np.linalg.norm(found))
        return found / length if length else found

    def close(self) -> None:
        """Give its memory back."""
        self._c.llama_free(self._context)
