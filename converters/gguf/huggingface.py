"""A Hugging Face folder of the Llama, Qwen2, Qwen3 and SmolLM families: config.json, safetensors, tokenizer.json."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.gguf import safetensors
from edgekit.converters.gguf.huggingface_tokenizer import read_json, tokenizer_values
from edgekit.converters.gguf.model import Array, LanguageModel, WeightTensor, count, in_memory, real, text
from edgekit.converters.gguf.safetensors import StoredArray
from edgekit.core.errors import InputError, Unsupported
from edgekit.core.gguf_file import Typed

FAMILIES: Mapping[str, str] = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""`model_type` of config.json, and GGUF's architecture. SmolLM and SmolLM2 call themselves llama."""
NEIGHBOURS = ("llama",)
"""Architectures whose engine rotates neighbouring rows where Hugging Face rotates halves: q and k are rearranged."""
_PLACES: Mapping[str, str] = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_UNUSED = re.compile(r".*rotary_emb\.inv_freq")


def is_model_folder(folder: Path) -> bool:
    """Whether a folder holds a language model of Hugging Face's, of whatever family."""
    if not (folder / "config.json").is_file():
        return False
    try:
        config = read_json(folder / "config.json")
    except InputError:
        return False
    return any(str(name).endswith("ForCausalLM") for name in config.get("architectures") or [])


def load(folder: Path) -> LanguageModel:
    """The model in `folder`. Raises `Unsupported` for another family, `InputError` for what is damaged, `NotFound`."""
    config = read_json(folder / "config.json")
    family = str(config.get("model_type", ""))
    if family not in FAMILIES:
        raise Unsupported(
            f"{folder.name!r} is a {family or 'nameless'} model; {', '.join(FAMILIES)} can be converted",
            "a GGUF file of it can be packaged and quantized: edgekit models list",
        )
    if config.get("hidden_act", "silu") != "silu" or config.get("use_sliding_window") or config.get("quantization_config"):
        raise Unsupported(f"{folder.name!r} uses another activation, sliding windows, or comes quantized", "its float weights?")
    architecture = FAMILIES[family]
    arrays = _arrays(folder)
    tensors = [*_rope_factors(config), *_tensors(arrays, config, architecture)]
    return LanguageModel(
        path=folder,
        framework="transformers",
        values={**_values(folder, config, architecture), **tokenizer_values(folder, _number(config, "vocab_size"))},
        tensors=tuple(tensors),
    )


def _arrays(folder: Path) -> Mapping[str, StoredArray]:
    """All arrays, out of one file or out of the parts that the index names."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return safetensors.read(folder / "model.safetensors")
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise InputError(f"{index.name!r} names no parts")
    names = sorted({str(name) for name in places.values()})
    strange = next((name for name in names if Path(name).name != name), None)
    if strange is not None:
        raise InputError(f"{index.name!r} names a part outside the folder: {strange!r}")
    found: dict[str, StoredArray] = {}
    for name in names:
        found |= safetensors.read(folder / name)
    missing = next((name for name in places if name not in found), None)
    if missing is not None:
        raise InputError(f"{folder.name!r}: array {missing!r} is in none of its parts", "download it again")
    return found


def _tensors(arrays: Mapping[str, StoredArray], config: Mapping[str, Any], architecture: str) -> list[WeightTensor]:
    found = []
    tied = bool(config.get("tie_word_embeddings"))
    for name, stored in arrays.items():
        goal = _goal(name)
        if goal is None or (tied and goal == "output.weight"):
            continue
        found.append(_tensor(goal, stored, _arrangement(goal, config, architecture)))
    _ensure_whole({tensor.name for tensor in found}, _number(config, "num_hidden_layers"))
    _ensure_shapes(found, config)
    return found


def _goal(name: str) -> str | None:
    """GGUF's name for one of theirs; None for what no engine needs."""
    if _UNUSED.fullmatch(name):
        return None
    layer = _LAYER.fullmatch(name)
    place, ending = (layer[2], layer[3]) if layer else name.rpartition(".")[::2]
    if place not in _PLACES:
        raise Unsupported(f"the array {name!r} has no place in GGUF that is known here", "is it one of the families?")
    return f"blk.{layer[1]}.{_PLACES[place]}.{ending}" if layer else f"{_PLACES[place]}.{ending}"


Arrangement = Callable[[Array], Array]


def _arrangement(goal: str, config: Mapping[str, Any], architecture: str) -> Arrangement | None:
    """How the rows of q and k are rearranged; None where they stay."""
    part = goal.split(".")[-2]
    if architecture not in NEIGHBOURS or part not in ("attn_q", "attn_k"):
        return None
    heads = _number(config, "num_attention_heads")
    return interleaved(_number(config, "num_key_value_heads", heads) if part == "attn_k" else heads)


def interleaved(heads: int) -> Arrangement:
    """From halves that rotate against each other to neighbours that do: row (half, i) of a head becomes row (i, half)."""

    def arranged(rows: Array) -> Array:
        split = rows.reshape(heads, 2, -1, *rows.shape[1:])
        return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(rows.shape)

    return arranged


def _tensor(goal: str, stored: StoredArray, arrange: Arrangement | None) -> WeightTensor:
    def values() -> Array:
        plain = stored.values()
        return plain if arrange is None else arrange(plain)

    def raw() -> Array:
        plain = stored.raw()
        arranged = plain if arrange is None else arrange(plain)
        return np.ascontiguousarray(arranged).reshape(arranged.shape[0], -1).view(np.uint8)

    kind = stored.kind if stored.kind != "F64" else "F32"
    return WeightTensor(name=goal, shape=stored.shape, kind=kind, stored=raw, values=values)


def _ensure_whole(names: set[str], layers: int) -> None:
    each = ("attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    inside = (f"blk.{layer}.{part}.weight" for layer in range(layers) for part in each)  # of as many layers as are claimed
    missing = next((name for name in chain(("token_embd.weight", "output_norm.weight"), inside) if name not in names), None)
    if missing is not None:
        raise InputError(f"the weights lack what becomes {missing!r}", "is the folder whole?")


def _ensure_shapes(tensors: Sequence[WeightTensor], config: Mapping[str, Any]) -> None:
    """Raise `InputError` where an array is not as large as the config says: nothing is reserved, or rearranged, by a claim alone."""
    width, feed, rows = (_number(config, key) for key in ("hidden_size", "intermediate_size", "vocab_size"))
    heads = _number(config, "num_attention_heads")
    length = _number(config, "head_dim", max(1, width // heads))
    keys = length * _number(config, "num_key_value_heads", heads)
    wanted: Mapping[str, tuple[int, ...]] = {
        "token_embd": (rows, width),
        "output": (rows, width),
        "attn_q": (heads * length, width),
        "attn_k": (keys, width),
        "attn_v": (keys, width),
        "attn_output": (width, heads * length),
        "ffn_gate": (feed, width),
        "ffn_up": (feed, width),
        "ffn_down": (width, feed),
        **dict.fromkeys(("output_norm", "attn_norm", "ffn_norm"), (width,)),
        **dict.fromkeys(("attn_q_norm", "attn_k_norm"), (length,)),
    }
    for tensor in tensors:
        part, ending = tensor.name.split(".")[-2:]
        expected = wanted[part][:1] if ending == "bias" else wanted[part]
        if tensor.shape != expected:
            found, said = (" x ".join(map(str, shape)) for shape in (tensor.shape, expected))
            raise InputError(f"{tensor.name!r} is {found}, and by config.json {said}", "do both belong to one model?")


def _values(folder: Path, config: Mapping[str, Any], architecture: str) -> dict[str, Typed]:
    heads, width = _number(config, "num_attention_heads"), _number(config, "hidden_size")
    length = _number(config, "head_dim", max(1, width // heads))
    sizes = {
        "context_length": _number(config, "max_position_embeddings"),
        "embedding_length": width,
        "block_count": _number(config, "num_hidden_layers"),
        "feed_forward_length": _number(config, "intermediate_size"),
        "attention.head_count": heads,
        "attention.head_count_kv": _number(config, "num_key_value_heads", heads),
        "attention.key_length": length,
        "attention.value_length": length,
        "rope.dimension_count": length,
        "vocab_size": _number(config, "vocab_size"),
    }
    figures = {
        "attention.layer_norm_rms_epsilon": _real(config, "rms_norm_eps", 1e-6),
        "rope.freq_base": _real(_rope(config), "rope_theta", 10000.0),
    }
    return {
        "general.architecture": text(architecture),
        "general.name": text(folder.resolve().name),
        **{f"{architecture}.{key}": count(value) for key, value in sizes.items()},
        **{f"{architecture}.{key}": real(value) for key, value in figures.items()},
        **_scaling(config, architecture),
    }


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of rotation, in transformers' older place (`rope_scaling`, `rope_theta`) or its newer one."""
    found: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        inside = config.get(key)
        found |= inside if isinstance(inside, dict) else {}
    return {"rope_theta": config.get("rope_theta", 10000.0), **found}


def _kind_of_rope(config: Mapping[str, Any]) -> str:
    rope = _rope(config)
    return str(rope.get("rope_type", rope.get("type", "default")))


def _scaling(config: Mapping[str, Any], architecture: str) -> dict[str, Typed]:
    kind, rope = _kind_of_rope(config), _rope(config)
    if kind in ("default", "llama3"):
        return {}
    if kind not in ("linear", "yarn"):
        raise Unsupported(f"rotation scaled by {kind!r} cannot be written", "default, linear, llama3 and yarn can")
    values = {"scaling.type": text(kind), "scaling.factor": real(_real(rope, "factor"))}
    if kind == "yarn":
        values["scaling.original_context_length"] = count(_number(rope, "original_max_position_embeddings"))
    return {f"{architecture}.rope.{key}": value for key, value in values.items()}


def _rope_factors(config: Mapping[str, Any]) -> list[WeightTensor]:
    """Llama 3's slower rotation of long waves, as the divisor of every rate."""
    if _kind_of_rope(config) != "llama3":
        return []
    rope = _rope(config)
    length = _number(config, "head_dim", _number(config, "hidden_size") // _number(config, "num_attention_heads"))
    factor, low, high = (_real(rope, key) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = _number(rope, "original_max_position_embeddings")
    waves = 2 * np.pi * _real(rope, "rope_theta") ** (np.arange(0, length, 2) / length)
    smooth = np.clip((original / waves - low) / (high - low), 0, 1)
    return [in_memory("rope_freqs.weight", (1 / ((1 - smooth) / factor + smooth)).astype(np.float32))]


def _number(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    found = config.get(key)
    found = default if found is None else found
    if type(found) is not int or not 1 <= found < 1 << 31:
        raise InputError(f"config.json: {key} is {found!r}, and must be a whole number from 1")
    return found


def _real(config: Mapping[str, Any], key: str, default: float | None = None) -> float:
    found = config.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or not np.isfinite(found) or found <= 0:
        raise InputError(f"config.json: {key} is {found!r}, and must be more than 0")
    return float(found)
