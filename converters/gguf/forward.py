"""The forward pass of the llama family in numpy, one layer's weights at a time: the reference every engine is compared with.

Written from the definition of the architectures, not from an engine's code; in float32, with no cache and no batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edgekit.converters.gguf.model import Array, LanguageModel
from edgekit.core.errors import InputError, Unsupported

ARCHITECTURES = ("llama", "qwen2", "qwen3")
HALVES = ("qwen2", "qwen3")
"""Rotate the first half of a head against the second; the others rotate neighbouring pairs."""

Observer = Callable[[str, Array], None]
"""Called with a matrix's name and what is multiplied with it, [tokens, columns]; and with a layer's and what enters it."""


def ignore(name: str, given: Array) -> None:
    """Observes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """The sizes of attention, and the rotation of every position: cosines and sines, [tokens, head_length / 2]."""

    heads: int
    kv_heads: int
    length: int
    halves: bool
    cosine: Array
    sine: Array


def logits(model: LanguageModel, tokens: Sequence[int], observe: Observer = ignore) -> Array:
    """What the model makes of each token: float32 [len(tokens), vocabulary]. Raises `Unsupported` for another architecture."""
    ensure_known(model)
    epsilon = float(model.number("attention.layer_norm_rms_epsilon"))
    table = _values(model, "token_embd.weight")
    if not tokens or not all(0 <= token < len(table) for token in tokens):
        raise InputError(f"the tokens must be 1 or more of 0 to {len(table) - 1}")
    hidden = table[np.asarray(tokens)]
    attention = _attention(model, len(tokens))
    for layer in range(int(model.number("block_count"))):
        observe(f"blk.{layer}", hidden)
        hidden = _layer(model, f"blk.{layer}.", hidden, attention, epsilon, observe)
    observe("output_norm", hidden)
    final = _normed(hidden, _values(model, "output_norm.weight"), epsilon)
    output = "output.weight" if model.tensor("output.weight") else "token_embd.weight"
    observe(output, final)
    scores: Array = final @ (table if output == "token_embd.weight" else _values(model, output)).T
    return scores


def ensure_known(model: LanguageModel) -> None:
    """Raise `Unsupported` for what this pass does not compute."""
    if model.architecture not in ARCHITECTURES:
        raise Unsupported(f"{model.architecture!r} is not computed here, only {', '.join(ARCHITECTURES)}")
    scaling = model.values.get(f"{model.architecture}.rope.scaling.type")
    if scaling is not None and scaling.value not in ("none", "linear"):
        raise Unsupported(f"rope scaling {scaling.value!r} is not computed here")
    if model.tensor("blk.0.ffn_gate_exps.weight") is not None:
        raise Unsupported("mixtures of experts are not computed here")


def _attention(model: LanguageModel, count: int) -> Attention:
    heads = int(model.number("attention.head_count"))
    length = int(model.number("attention.key_length", int(model.number("embedding_length")) // heads))
    base = float(model.number("rope.freq_base", 10000.0))
    rates = base ** (-np.arange(0, length, 2, dtype=np.float64) / length)
    factors = model.tensor("rope_freqs.weight")
    if factors is not None:
        rates = rates / factors.values()
    angles = np.outer(np.arange(count) / float(model.number("rope.scaling.factor", 1.0)), rates)
    return Attention(
        heads=heads,
        kv_heads=int(model.number("attention.head_count_kv", heads)),
        length=length,
        halves=model.architecture in HALVES,
        cosine=np.cos(angles).astype(np.float32),
        sine=np.sin(angles).astype(np.float32),
    )


def _layer(model: LanguageModel, prefix: str, hidden: Array, attention: Attention, epsilon: float, observe: Observer) -> Array:
    given = _normed(hidden, _values(model, prefix + "attn_norm.weight"), epsilon)
    mixed = _attended(model, prefix, given, attention, epsilon, observe)
    hidden = hidden + _linear(model, prefix + "attn_output", mixed, observe)
    given = _normed(hidden, _values(model, prefix + "ffn_norm.weight"), epsilon)
    gate, up = _linear(model, prefix + "ffn_gate", given, observe), _linear(model, prefix + "ffn_up", given, observe)
    return hidden + _linear(model, prefix + "ffn_down", gate / (1 + np.exp(-gate)) * up, observe)


def _attended(
    model: LanguageModel, prefix: str, given: Array, attention: Attention, epsilon: float, observe: Observer
) -> Array:
    """The values every position takes from those before it, [tokens, heads * length]."""
    count, length = len(given), attention.length
    query = _linear(model, prefix + "attn_q", given, observe).reshape(count, attention.heads, length)
    key = _linear(model, prefix + "attn_k", given, observe).reshape(count, attention.kv_heads, length)
    value = _linear(model, prefix + "attn_v", given, observe).reshape(count, attention.kv_heads, length)
    if model.tensor(prefix + "attn_q_norm.weight") is not None:
        query = _normed(query, _values(model, prefix + "attn_q_norm.weight"), epsilon)
        key = _normed(key, _values(model, prefix + "attn_k_norm.weight"), epsilon)
    query, key = _rotated(query, attention), _rotated(key, attention)
    shared = attention.heads // attention.kv_heads
    key, value = np.repeat(key, shared, axis=1), np.repeat(value, shared, axis=1)
    scores = np.einsum("qhl,khl->hqk", query, key) / np.sqrt(np.float32(length))
    scores = np.where(np.tri(count, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    mixed: Array = np.einsum("hqk,khl->qhl", weights, value).reshape(count, -1)
    return mixed


def _rotated(heads: Array, attention: Attention) -> Array:
    cosine, sine = attention.cosine[:, None], attention.sine[:, None]
    half = attention.length // 2
    left, right = (heads[..., :half], heads[..., half:]) if attention.halves else (heads[..., 0::2], heads[..., 1::2])
    turned = (left * cosine - right * sine, left * sine + right * cosine)
    if attention.halves:
        return np.concatenate(turned, axis=-1)
    return np.stack(turned, axis=-1).reshape(heads.shape)


def _linear(model: LanguageModel, name: str, given: Array, observe: Observer) -> Array:
    observe(f"{name}.weight", given)
    made: Array = given @ _values(model, f"{name}.weight").T
    bias = model.tensor(f"{name}.bias")
    return made if bias is None else made + bias.values()


def _normed(values: Array, weight: Array, epsilon: float) -> Array:
    scale = np.sqrt(np.mean(np.square(values), axis=-1, keepdims=True) + epsilon)
    normed: Array = values / scale * weight
    return normed


def _values(model: LanguageModel, name: str) -> Array:
    tensor = model.tensor(name)
    if tensor is None:
        raise InputError(f"{model.path.name!r} has no tensor {name!r}", "is the file whole?")
    return tensor.values()


def importance(model: LanguageModel, tokens: Sequence[int], window: int) -> dict[str, Array]:
    """Mean square of every column that each matrix was given, over windows of the text: libllama's importance matrix."""
    sums: dict[str, Array] = {}
    seen: dict[str, int] = {}

    def add(name: str, given: Array) -> None:
        if name.endswith(".weight"):
            sums[name] = sums.get(name, 0) + np.square(given, dtype=np.float64).sum(axis=0)
            seen[name] = seen.get(name, 0) + len(given)

    for start in range(0, len(tokens), window):
        logits(model, tokens[start : start + window], add)
    return {name: (total / seen[name]).astype(np.float32) for name, total in sums.items()}


def influence(model: LanguageModel, tokens: Sequence[int]) -> tuple[float, ...]:
    """By how much each layer turns what passes through it (1 - cosine): the least are the ones that are missed least."""
    states: list[Array] = []

    def see(name: str, given: Array) -> None:
        if not name.endswith(".weight"):
            states.append(given)

    logits(model, tokens, see)
    return tuple(_turn(before, after) for before, after in pairwise(states))


def _turn(before: Array, after: Array) -> float:
    lengths = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    return float(np.mean(1 - np.einsum("td,td->t", before, after) / np.maximum(lengths, 1e-12)))
