"""A loaded model's vocabulary: text to tokens and back, by libllama's C functions."""

from __future__ import annotations

import ctypes
from typing import Any

from edgekit.core.errors import InputError
from edgekit.runtimes.text import EngineRefused

NAME = "llama_cpp"


class Vocabulary:
    """Of the model at `handle`, with `size` tokens; as long as it is loaded."""

    def __init__(self, c: Any, handle: Any, size: int) -> None:
        self._c, self.size = c, size
        self.pointer = c.llama_model_get_vocab(handle)

    def tokens(self, text: str, *, begin: bool, special: bool) -> list[int]:
        """Of a text; with `begin`, after the token that begins a prompt, and with `special`, names of tokens read as these."""
        data = text.encode("utf-8", errors="replace")
        room = len(data) + 8
        tokens = (ctypes.c_int32 * room)()
        count = self._c.llama_tokenize(self.pointer, data, len(data), tokens, room, begin, special)
        if count < 0:
            raise EngineRefused(f"{NAME} could not split {len(data)} bytes of text into tokens")
        return tokens[:count]

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """What a token stands for: perhaps a part of a letter."""
        room = ctypes.create_string_buffer(64)
        count = self._c.llama_token_to_piece(self.pointer, token, room, len(room), 0, special)
        if count < 0:
            room = ctypes.create_string_buffer(-count)
            count = self._c.llama_token_to_piece(self.pointer, token, room, len(room), 0, special)
        return room.raw[: max(count, 0)]

    def is_end(self, token: int) -> bool:
        """Whether a token ends an answer."""
        return bool(self._c.llama_vocab_is_eog(self.pointer, token))

    def ends(self) -> tuple[str, str]:
        """The tokens that begin and end a text, as a template writes them; empty where there is none."""
        bos, eos = (which(self.pointer) for which in (self._c.llama_vocab_bos, self._c.llama_vocab_eos))
        return self._name(bos), self._name(eos)

    def ensure(self, token: int) -> None:
        """Raise `InputError` for an id out of range, which would end the process."""
        if not 0 <= token < self.size:
            raise InputError(f"there is no token {token}: the vocabulary has {self.size}")

    def _name(self, token: int) -> str:
        return self.piece(token, special=True).decode(errors="replace") if token >= 0 else ""
