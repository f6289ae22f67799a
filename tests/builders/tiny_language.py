"""A random llama in a GGUF file, small enough to be made in every test, with a vocabulary of bytes and letters."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.gguf.model import FLOAT32, INT32, Array, array, count, in_memory, real, text, truth
from edgekit.converters.gguf.writer import Entry, write
from edgekit.core.gguf_file import STRING, Typed

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LETTERS = ["\u2581", *map(chr, range(33, 127))]
VOCABULARY = 3 + 256 + len(LETTERS) + 2


def vocabulary() -> Mapping[str, Typed]:
    """Three special tokens, all bytes, the printable letters, and the two of ChatML."""
    pieces = [b"<unk>", b"<s>", b"</s>", *(b"<0x%02X>" % byte for byte in range(256)), *(letter.encode() for letter in LETTERS)]
    kinds = [2, 3, 3, *[6] * 256, *[1] * len(LETTERS), 3, 3]
    scores = [0.0] * 259 + [-float(n + 1) for n in range(len(LETTERS))] + [0.0, 0.0]
    return {
        "tokenizer.ggml.model": text("llama"),
        "tokenizer.ggml.tokens": array([*pieces, b"<|im_start|>", b"<|im_end|>"], STRING),
        "tokenizer.ggml.scores": array(scores, FLOAT32),
        "tokenizer.ggml.token_type": array(kinds, INT32),
        "tokenizer.ggml.bos_token_id": count(1),
        "tokenizer.ggml.eos_token_id": count(VOCABULARY - 1),
        "tokenizer.ggml.unknown_token_id": count(0),
        "tokenizer.ggml.add_bos_token": truth(True),
        "tokenizer.ggml.add_space_prefix": truth(False),
    }


def values(layers: int = 2, dim: int = 64, feed: int = 128, context: int = 256, template: str = CHATML) -> dict[str, Typed]:
    """The metadata of the model."""
    made = {
        "general.architecture": text("llama"),
        "general.name": text("tiny"),
        "llama.context_length": count(context),
        "llama.embedding_length": count(dim),
        "llama.block_count": count(layers),
        "llama.feed_forward_length": count(feed),
        "llama.attention.head_count": count(4),
        "llama.attention.head_count_kv": count(2),
        "llama.rope.dimension_count": count(dim // 4),
        "llama.attention.layer_norm_rms_epsilon": real(1e-5),
        "llama.vocab_size": count(VOCABULARY),
        "general.file_type": count(0),
        **vocabulary(),
    }
    return made | ({"tokenizer.chat_template": text(template)} if template else {})


def tensors(layers: int = 2, dim: int = 64, feed: int = 128, seed: int = 0) -> dict[str, Array]:
    """Random weights by GGUF's names."""
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> Array:
        return random.normal(0, 0.5 / np.sqrt(shape[-1]), shape).astype(np.float32)

    ones = np.ones(dim, np.float32)
    made = {"token_embd.weight": matrix(VOCABULARY, dim), "output_norm.weight": ones, "output.weight": matrix(VOCABULARY, dim)}
    for layer in range(layers):
        made |= {
            f"blk.{layer}.{name}.weight": value
            for name, value in {
                "attn_norm": ones,
                "ffn_norm": ones,
                "attn_q": matrix(dim, dim),
                "attn_k": matrix(dim // 2, dim),
                "attn_v": matrix(dim // 2, dim),
                "attn_output": matrix(dim, dim),
                "ffn_gate": matrix(feed, dim),
                "ffn_up": matrix(feed, dim),
                "ffn_down": matrix(dim, feed),
            }.items()
        }
    return made


def tiny_gguf(path: Path, *, without: tuple[str, ...] = (), more: Mapping[str, Typed] | None = None, **sizes: Any) -> Path:
    """Write the model to `path`; `without` leaves out keys and tensors, `more` adds or replaces keys."""
    template = sizes.pop("template", CHATML)
    context = sizes.pop("context", 256)
    seed = sizes.pop("seed", 0)
    keys = {
        k: v for k, v in {**values(context=context, template=template, **sizes), **(more or {})}.items() if k not in without
    }
    made = [in_memory(name, value) for name, value in tensors(seed=seed, **sizes).items() if name not in without]
    write(path, keys, [Entry(name=t.name, shape=t.shape, kind=t.kind, data=t.stored) for t in made])
    return path


@cache
def loads(engine: str) -> str:
    """Empty when the engine's package loads and computes here, else why not: wheels are built for certain processors."""
    code = f"import {engine}, sys; getattr({engine}, 'llama_backend_init', lambda: None)()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
