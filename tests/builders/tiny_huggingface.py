"""A random llama in the layout of a Hugging Face folder, written without transformers: what a person would download."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADS, KV_HEADS, WIDTH, FEED, LAYERS, VOCABULARY = 4, 2, 64, 128, 2, 258
LENGTH = WIDTH // HEADS
CONFIG: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": WIDTH,
    "intermediate_size": FEED,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCABULARY,
    "tie_word_embeddings": True,
    "eos_token_id": 256,
}
Weights = dict[str, NDArray[np.float32]]


def weights(seed: int = 0) -> Weights:
    """Arrays under Hugging Face's names."""
    random = np.random.default_rng(seed)
    parts = {
        "self_attn.q_proj": (HEADS * LENGTH, WIDTH),
        "self_attn.k_proj": (KV_HEADS * LENGTH, WIDTH),
        "self_attn.v_proj": (KV_HEADS * LENGTH, WIDTH),
        "self_attn.o_proj": (WIDTH, HEADS * LENGTH),
        "mlp.gate_proj": (FEED, WIDTH),
        "mlp.up_proj": (FEED, WIDTH),
        "mlp.down_proj": (WIDTH, FEED),
        "input_layernorm": (WIDTH,),
        "post_attention_layernorm": (WIDTH,),
    }
    shapes = {"model.embed_tokens": (VOCABULARY, WIDTH), "model.norm": (WIDTH,)}
    shapes |= {f"model.layers.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in parts.items()}
    return {f"{name}.weight": random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


def safetensors(arrays: Weights) -> bytes:
    """The file: a length, a JSON header, the arrays one after another."""
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    said = json.dumps(header).encode()
    return len(said).to_bytes(8, "little") + said + b"".join(array.tobytes() for array in arrays.values())


def tokenizer() -> dict[str, Any]:
    """Byte-level BPE without merges: every byte is a piece, as in SmolLM2's."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {chr(byte): byte for byte in plain} | {chr(256 + number): byte for number, byte in enumerate(others)}
    added = [{"id": 256, "content": "<|end|>", "special": True}, {"id": 257, "content": "<|start|>", "special": True}]
    cutters = [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "use_regex": True}]
    return {
        "model": {"type": "BPE", "vocab": letters, "merges": []},
        "added_tokens": added,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cutters},
    }


def tiny_folder(
    folder: Path,
    *,
    config: Mapping[str, Any] | None = None,
    change: Callable[[Weights], None] = lambda arrays: None,
    seed: int = 0,
) -> Path:
    """Write it; `config` are other values than `CONFIG`'s, `change` may do as it likes to the arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = weights(seed)
    change(arrays)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    (folder / "model.safetensors").write_bytes(safetensors(arrays))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    return folder
