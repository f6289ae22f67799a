"""A llama2.c checkpoint (the first, headerless version) with its tokenizer: the plainest form a trained llama comes in.

Both llama2.c and GGUF's `llama` rotate neighbouring pairs, so that no row is moved: the file's floats are written as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgekit.converters.gguf.model import (
    FLOAT32,
    INT32,
    LanguageModel,
    WeightTensor,
    array,
    count,
    in_memory,
    real,
    text,
    truth,
)
from edgekit.core.errors import InputError, NotFound
from edgekit.core.gguf_file import STRING, Typed

HEADER = struct.Struct("<7i")
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Kinds of tokens, as GGUF numbers them."""
RMS_EPSILON = 1e-5
"""llama2.c has it in its code, not in its files."""
MOST_TOKEN_BYTES = 4096
TOKENIZERS = ("tokenizer.bin", "tok{vocabulary}.bin", "{stem}.tok.bin")
"""Where the tokenizer is looked for, beside the checkpoint."""


class Config(NamedTuple):
    """The seven numbers at the head of a checkpoint."""

    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    tied: bool


def is_llama2c(path: Path) -> bool:
    """Whether the file is exactly as long as its first seven numbers say."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    return len(head) == HEADER.size and _plausible(_config(head)) and path.stat().st_size == _bytes_of(_config(head))


def load(path: Path, tokenizer: Path | None = None) -> LanguageModel:
    """The checkpoint at `path`; the tokenizer is found beside it when it is not named. Raises `InputError`, `NotFound`."""
    if not path.is_file():
        raise NotFound(f"no model at {str(path)!r}", "is the path right?")
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size or not _plausible(_config(head)):
        raise InputError(f"{path.name!r} is no llama2.c checkpoint: its first seven numbers describe no model")
    config, size = _config(head), path.stat().st_size
    if size != _bytes_of(config):
        raise InputError(
            f"{path.name!r} is no whole llama2.c checkpoint: {size} bytes, {_bytes_of(config)} by its header",
            "copy it again; version 1 and 2 checkpoints of llama2.c are not read",
        )
    found = tokenizer or _beside(path, config)
    return LanguageModel(
        path=path, framework="llama2.c", values=_values(path, found, config), tensors=tuple(_tensors(path, config))
    )


def _config(head: bytes) -> Config:
    dim, hidden, layers, heads, kv_heads, vocabulary, context = HEADER.unpack(head)
    return Config(dim, hidden, layers, heads, kv_heads, abs(vocabulary), context, tied=vocabulary > 0)


def _plausible(config: Config) -> bool:
    sizes = config[:7]
    bounded = all(1 <= size <= 1 << 20 for size in sizes) and config.layers <= 1000
    return bounded and config.dim % config.heads == 0 and config.heads % config.kv_heads == 0


def _parts(config: Config) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The arrays of the file in their order; a name with `{}` stands for one in each layer."""
    dim, hidden, layers, heads, kv_heads, vocabulary, context, tied = config
    length = dim // heads
    parts: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("token_embd.weight", (vocabulary, dim)),
        ("blk.{}.attn_norm.weight", (layers, dim)),
        ("blk.{}.attn_q.weight", (layers, dim, dim)),
        ("blk.{}.attn_k.weight", (layers, kv_heads * length, dim)),
        ("blk.{}.attn_v.weight", (layers, kv_heads * length, dim)),
        ("blk.{}.attn_output.weight", (layers, dim, dim)),
        ("blk.{}.ffn_norm.weight", (layers, dim)),
        ("blk.{}.ffn_gate.weight", (layers, hidden, dim)),
        ("blk.{}.ffn_down.weight", (layers, dim, hidden)),
        ("blk.{}.ffn_up.weight", (layers, hidden, dim)),
        ("output_norm.weight", (dim,)),
        ("", (2 * context * length // 2,)),  # tables of angles, which engines compute
    )
    return parts if tied else (*parts, ("output.weight", (vocabulary, dim)))


def _bytes_of(config: Config) -> int:
    return HEADER.size + 4 * sum(int(np.prod(shape, dtype=np.int64)) for _, shape in _parts(config))


def _tensors(path: Path, config: Config) -> list[WeightTensor]:
    floats = np.memmap(path, "<f4", "r", HEADER.size)
    found: dict[str, WeightTensor] = {}
    at = 0
    for name, shape in _parts(config):
        size = int(np.prod(shape, dtype=np.int64))
        part = floats[at : at + size].reshape(shape)
        at += size
        if "{}" in name:
            found |= {name.format(layer): in_memory(name.format(layer), part[layer]) for layer in range(config.layers)}
        elif name:
            found[name] = in_memory(name, part)
    if config.tied:
        # Written out: every engine reads it, and quantizing may then treat the two differently.
        found["output.weight"] = in_memory("output.weight", found["token_embd.weight"].values())
    return list(found.values())


def _values(path: Path, tokenizer: Path, config: Config) -> Mapping[str, Typed]:
    return {
        "general.architecture": text("llama"),
        "general.name": text(path.stem),
        "llama.context_length": count(config.context),
        "llama.embedding_length": count(config.dim),
        "llama.block_count": count(config.layers),
        "llama.feed_forward_length": count(config.hidden),
        "llama.attention.head_count": count(config.heads),
        "llama.attention.head_count_kv": count(config.kv_heads),
        "llama.rope.dimension_count": count(config.dim // config.heads),
        "llama.attention.layer_norm_rms_epsilon": real(RMS_EPSILON),
        "llama.vocab_size": count(config.vocabulary),
        **_vocabulary(tokenizer, config.vocabulary),
    }


def _beside(path: Path, config: Config) -> Path:
    names = [name.format(vocabulary=config.vocabulary, stem=path.stem) for name in TOKENIZERS]
    found = next((path.parent / name for name in names if (path.parent / name).is_file()), None)
    if found is None:
        raise NotFound(f"{path.name!r} has no tokenizer beside it ({', '.join(names)})", "copy it there")
    return found


def _vocabulary(path: Path, size: int) -> Mapping[str, Typed]:
    """The tokenizer's pieces, scores and kinds."""
    pieces, scores, kinds = [], [], []
    for index, (score, piece) in enumerate(_pieces(path, size)):
        name, kind = _named(index, piece)
        pieces.append(name)
        scores.append(score)
        kinds.append(kind)
    return {
        "tokenizer.ggml.model": text("llama"),
        "tokenizer.ggml.tokens": array(pieces, STRING),
        "tokenizer.ggml.scores": array(scores, FLOAT32),
        "tokenizer.ggml.token_type": array(kinds, INT32),
        "tokenizer.ggml.bos_token_id": count(1),
        "tokenizer.ggml.eos_token_id": count(2),
        "tokenizer.ggml.unknown_token_id": count(0),
        "tokenizer.ggml.add_bos_token": truth(True),
        "tokenizer.ggml.add_space_prefix": truth(True),
    }


def _pieces(path: Path, size: int) -> list[tuple[float, bytes]]:
    data, at, found = path.read_bytes(), 4, []
    for index in range(size):
        if at + 8 > len(data):
            raise InputError(f"{path.name!r} is no llama2.c tokenizer of {size} tokens: it ends at token {index}")
        score, length = struct.unpack_from("<fi", data, at)
        if not 0 <= length <= MOST_TOKEN_BYTES or at + 8 + length > len(data):
            raise InputError(f"{path.name!r} is no llama2.c tokenizer: token {index} would have {length} bytes")
        found.append((score, data[at + 8 : at + 8 + length]))
        at += 8 + length
    if at != len(data):
        raise InputError(f"{path.name!r} has {len(data) - at} bytes after {size} tokens: is it another model's tokenizer?")
    return found


def _named(index: int, piece: bytes) -> tuple[bytes, int]:
    """The piece as GGUF wants it, and its kind."""
    if index < 3:
        return (b"<unk>", b"<s>", b"</s>")[index], UNKNOWN if index == 0 else CONTROL
    if len(piece) == 6 and piece.startswith(b"<0x") and piece.endswith(b">"):
        return piece, BYTE
    return piece.replace(b" ", "\u2581".encode()), NORMAL
