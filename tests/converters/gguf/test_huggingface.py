"""Hugging Face folders without transformers: the command on a whole one, and what is said of damaged and hostile ones.

That converted folders have the logits of transformers is shown where those are: tests/converters/frameworks/test_transformers.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gguf", reason="a GGUF file is written with the package gguf")

from tiny_huggingface import HEADS, KV_HEADS, LENGTH, WIDTH, Weights, safetensors, tiny_folder, tokenizer, weights

from edgekit.artifact import read
from edgekit.cli import main
from edgekit.converters.gguf import forward, gguf_source, huggingface
from edgekit.core.errors import EdgekitError, InputError, NotFound, Unsupported


def test_the_command_makes_an_artifact_of_a_folder_that_says_what_its_source_says(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny")
    assert main(["convert", str(folder), "-t", "rpi5", "--precision", "q8_0", "-o", str(tmp_path / "out")]) == 0
    made = read(tmp_path / "out" / "tiny.rpi5.q8_0")
    assert made.manifest.parity is not None and made.manifest.parity.ok
    assert made.manifest.source is not None and made.manifest.source.framework == "transformers"
    tokens = list(b"hello, world")
    found = forward.logits(gguf_source.load(made.path / "model.gguf"), tokens)
    assert np.abs(found - forward.logits(huggingface.load(folder), tokens)).max() < 0.05


def test_rows_of_q_and_k_go_from_halves_to_neighbours_and_nothing_else_moves(tmp_path: Path) -> None:
    before, model = weights(), huggingface.load(tiny_folder(tmp_path / "tiny"))
    for part, heads in (("q", HEADS), ("k", KV_HEADS)):
        found = model.tensor(f"blk.1.attn_{part}.weight")
        assert found is not None
        source = before[f"model.layers.1.self_attn.{part}_proj.weight"].reshape(heads, LENGTH, WIDTH)
        halves = [source[:, : LENGTH // 2], source[:, LENGTH // 2 :]]
        moved = found.values().reshape(heads, LENGTH, WIDTH)
        assert np.array_equal(moved[:, 0::2], halves[0]) and np.array_equal(moved[:, 1::2], halves[1])
    down = model.tensor("blk.0.ffn_down.weight")
    assert down is not None and np.array_equal(down.values(), before["model.layers.0.mlp.down_proj.weight"])


def without(name: str) -> Callable[[Weights], None]:
    def change(arrays: Weights) -> None:
        del arrays[name]

    return change


def reshaped(name: str, *shape: int) -> Callable[[Weights], None]:
    def change(arrays: Weights) -> None:
        arrays[name] = np.zeros(shape, np.float32)

    return change


FIRST = "model.layers.0.self_attn.q_proj.weight"
CONFIGS: dict[str, tuple[Mapping[str, Any], type[EdgekitError], str]] = {
    "another family": ({"model_type": "mamba"}, Unsupported, "is a mamba model; llama, qwen2, qwen3 can be converted"),
    "no layers": ({"num_hidden_layers": 0}, InputError, "num_hidden_layers is 0"),
    "more layers than weights": (
        {"num_hidden_layers": 2_000_000_000},
        InputError,
        "lack what becomes 'blk.2.attn_norm.weight'",
    ),
    "more rows than weights": (
        {"vocab_size": 2_000_000_000},
        InputError,
        r"token_embd.* is 258 x 64, and by config.json 2000000000",
    ),
    "heads that are no whole ones": (
        {"num_key_value_heads": 3},
        InputError,
        r"attn_k.* is 32 x 64, and by config.json 48 x 64",
    ),
    "a width that is a text": ({"hidden_size": "64"}, InputError, "hidden_size is '64'"),
    "an epsilon that is no number": ({"rms_norm_eps": float("nan")}, InputError, "rms_norm_eps is nan"),
    "another activation": ({"hidden_act": "relu"}, Unsupported, "another activation"),
    "quantized weights": ({"quantization_config": {"bits": 4}}, Unsupported, "comes quantized"),
    "a rotation nobody has": ({"rope_scaling": {"rope_type": "odd", "factor": 2.0}}, Unsupported, "scaled by 'odd'"),
}


@pytest.mark.parametrize("case", CONFIGS.values(), ids=list(CONFIGS))
def test_a_config_that_cannot_be_is_named(case: tuple[Mapping[str, Any], type[EdgekitError], str], tmp_path: Path) -> None:
    config, kind, said = case
    with pytest.raises(kind, match=said):
        huggingface.load(tiny_folder(tmp_path / "tiny", config=config))


ARRAYS: dict[str, tuple[Callable[[Weights], None], str]] = {
    "one that is missing": (without(FIRST), "lack what becomes 'blk.0.attn_q.weight'"),
    "one of another shape": (reshaped(FIRST, 64, 63), r"blk.0.attn_q.weight' is 64 x 63, and by config.json 64 x 64"),
    "one of another rank": (reshaped("model.norm.weight", 8, 8), r"output_norm.weight' is 8 x 8, and by config.json 64"),
}


@pytest.mark.parametrize("case", ARRAYS.values(), ids=list(ARRAYS))
def test_weights_that_do_not_belong_to_the_config_are_named(
    case: tuple[Callable[[Weights], None], str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=case[1]):
        huggingface.load(tiny_folder(tmp_path / "tiny", change=case[0]))


def test_an_array_without_a_place_is_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny", change=reshaped("model.layers.0.mlp.experts.weight", 2, 2))
    with pytest.raises(Unsupported, match=r"experts\.weight' has no place"):
        huggingface.load(folder)


def header(**entry: Any) -> bytes:
    said = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **entry}}).encode()
    return len(said).to_bytes(8, "little") + said + bytes(4)


FILES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is no safetensors file"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "begins as a Git LFS pointer does"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "is no safetensors file"),
    "a header without end": ((1 << 62).to_bytes(8, "little") + b"{}", "is no safetensors file"),
    "a header that is no JSON": ((4).to_bytes(8, "little") + b"{{{{", "a header that is no JSON"),
    "a header that nests without end": ((100_000).to_bytes(8, "little") + b"[" * 100_000, "a header that is no JSON"),
    "a header that is a list": ((2).to_bytes(8, "little") + b"[]", "a header that is no object"),
    "no arrays": ((2).to_bytes(8, "little") + b"{}", "holds no weights"),
    "half a file": (safetensors(weights())[:-100], "is truncated or damaged at array"),
    "an array beyond the end": (header(shape=[2], data_offsets=[0, 8]), "is truncated or damaged"),
    "an array before the beginning": (header(data_offsets=[-4, 0]), "is truncated or damaged"),
    "a shape of another size": (header(shape=[1 << 40]), "is truncated or damaged"),
    "a shape that is a text": (header(shape="many"), "is truncated or damaged"),
    "integers": (header(dtype="I4"), "is stored as I4"),
}


@pytest.mark.parametrize("case", FILES.values(), ids=list(FILES))
def test_weights_that_are_none_are_told_apart(case: tuple[bytes, str], tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny")
    (folder / "model.safetensors").write_bytes(case[0])
    with pytest.raises(InputError, match=case[1]):
        huggingface.load(folder)


TOKENIZERS: dict[str, tuple[Mapping[str, Any], str]] = {
    "another kind": ({"model": {"type": "Unigram", "vocab": []}}, "is no BPE tokenizer"),
    "a piece beyond the model": ({"added_tokens": [{"id": 258, "content": "x"}]}, "the model has 258 rows"),
    "a piece with a name for a number": ({"added_tokens": [{"id": "x", "content": "x"}]}, "gives 'x' the number 'x'"),
    "a merge of three": ({"model": {**tokenizer()["model"], "merges": [["a", "b", "c"]]}}, "among its merges"),
    "no rule": ({"pre_tokenizer": None}, "cuts text by"),
    "a rule that is a text": ({"pre_tokenizer": "split"}, "cuts text by"),
    "rules that are a number": ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": 7}}, "cuts text by"),
    "a pattern that is a text": ({"pre_tokenizer": {"type": "Split", "pattern": "x"}}, "cuts text by"),
    "an expression nobody knows": ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}}}, "cuts text by"),
    "an expression that is a list": (
        {"pre_tokenizer": {"pretokenizers": [{"type": "Split", "pattern": {"Regex": ["."]}}, {"type": "ByteLevel"}]}},
        "cuts text by",
    ),
    "added pieces that are a number": ({"added_tokens": 7}, "is no BPE tokenizer"),
    "merges that are a number": ({"model": {**tokenizer()["model"], "merges": 7}}, "is no BPE tokenizer"),
}


@pytest.mark.parametrize("case", TOKENIZERS.values(), ids=list(TOKENIZERS))
def test_a_tokenizer_that_no_engine_would_follow_is_refused(case: tuple[Mapping[str, Any], str], tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny")
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer(), **case[0]}))
    with pytest.raises(EdgekitError, match=case[1]):
        huggingface.load(folder)


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        folder = tiny_folder(tmp_path / name)
        (folder / name).unlink()
        with pytest.raises(NotFound, match=name):
            huggingface.load(folder)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"weight_map": {}}, "names no parts"),
        ({"weight_map": {"a": "../../model.safetensors"}}, "names a part outside the folder"),
        ({"weight_map": {"a": "gone.safetensors"}}, "is missing"),
        ({"weight_map": {"nobody.weight": "model.safetensors"}}, "'nobody.weight' is in none of its parts"),
    ],
)
def test_an_index_of_parts_is_held_to_what_is_there(index: Mapping[str, Any], said: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "tiny")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EdgekitError, match=said):
        huggingface.load(folder)
