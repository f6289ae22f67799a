"""Hugging Face folders of random weights: the GGUF made of one answers what transformers answers. Run by .ci/frameworks.

Tolerance: logits of both are float32 and about 1 in size; they may differ by 2e-4, which is rounding in another order. A missing
permutation, bias or norm differs by more than 0.1 (see the last test).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

from edgekit.converters.gguf import forward, gguf_source, huggingface  # noqa: E402
from edgekit.converters.gguf.convert import convert  # noqa: E402
from edgekit.converters.gguf.huggingface_tokenizer import RULES  # noqa: E402

TOLERANCE = 2e-4
TEXT = "It's 1234 steps, isn't it?\n\n  Yes: café, naïve, 你好 and 🙂!  "
SIZES: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "bos_token_id": None,
    "eos_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
EXPRESSIONS = {name: expression for expression, name in RULES.items()}


def splitter(rule: str) -> Any:
    """The pre-tokenizer of a family."""
    pre = tokenizers.pre_tokenizers
    if rule == "smollm":
        return pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)])
    split = pre.Split(tokenizers.Regex(EXPRESSIONS[rule]), behavior="isolated", invert=False)
    return pre.Sequence([split, pre.ByteLevel(add_prefix_space=False, use_regex=False)])


def save_tokenizer(folder: Path, rule: str) -> Any:
    """A byte-level BPE tokenizer, trained on a little text, in the folder."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = splitter(rule)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>", "<|im_start|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT, "the cat and the hat are in the house with 12 of the mice"] * 20, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>", "chat_template": "{{ messages }}"}))
    return tokenizer


def make(folder: Path, family: str, **more: Any) -> Any:
    """A model of random weights, saved as transformers saves one."""
    torch.manual_seed(3)
    kinds = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    config = getattr(transformers, f"{kinds[family]}Config")(**{**SIZES, "vocab_size": 420, **more})
    model = getattr(transformers, f"{kinds[family]}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.2 if parameter.ndim == 1 else 2.0 / parameter.shape[-1] ** 0.5
            parameter.normal_(1.0 if "norm" in name else 0.0, spread)
    model.save_pretrained(folder)
    return model


CASES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "llama 3 with scaled rotation": ("llama", "llama-bpe", {"rope_parameters": {"rope_theta": 5e5, **LLAMA3}}),
    "llama 3.2, tied, head of its own size": ("llama", "llama-bpe", {"tie_word_embeddings": True, "head_dim": 32}),
    "smollm2, tied": (
        "llama",
        "smollm",
        {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}},
    ),
    "llama with biases": ("llama", "llama-bpe", {"attention_bias": True, "mlp_bias": True}),
    "qwen2.5, biases of q, k and v": ("qwen2", "qwen2", {"tie_word_embeddings": True}),
    "qwen3, norms of q and k": ("qwen3", "qwen2", {"head_dim": 32}),
}


@pytest.fixture(params=CASES, ids=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any, Any]:
    family, rule, more = CASES[request.param]
    folder = tmp_path / "model"
    folder.mkdir()
    return folder, make(folder, family, **more), save_tokenizer(folder, rule)


def expected(model: Any, tokens: list[int]) -> Any:
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def test_a_converted_folder_has_the_logits_of_transformers(case: tuple[Path, Any, Any], tmp_path: Path) -> None:
    folder, model, tokenizer = case
    tokens = tokenizer.encode(TEXT).ids
    written = convert(huggingface.load(folder), tmp_path / "model.gguf", "fp32")
    found = forward.logits(gguf_source.load(written.path), tokens)
    assert np.abs(found - expected(model, tokens)).max() < TOLERANCE


def test_an_engine_says_of_a_converted_folder_what_transformers_says(case: tuple[Path, Any, Any], tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    from edgekit.language_parity import log_softmax
    from edgekit.runtimes.language.supervised import SupervisedSession
    from edgekit.runtimes.text import TextOptions

    folder, model, tokenizer = case
    written = convert(huggingface.load(folder), tmp_path / "model.gguf", "fp32")
    session = SupervisedSession("xllamacpp", written.path, TextOptions(context=128, threads=1))
    tokens = session.tokenize(TEXT)
    scores = session.score(tokens[:16])
    text = session.detokenize(tokens)
    session.close()
    assert list(tokens) == tokenizer.encode(TEXT).ids
    assert text == TEXT
    # The engine keeps its conversation in half precision.
    assert np.abs(log_softmax(scores) - log_softmax(expected(model, list(tokens))[:16])).max() < 0.1


def test_bfloat16_parts_named_by_an_index_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model = make(folder, "qwen3").to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="60KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    tokenizer = save_tokenizer(folder, "qwen2")
    assert len(list(folder.glob("*.safetensors"))) > 1
    tokens = tokenizer.encode(TEXT).ids
    whole = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert np.abs(forward.logits(huggingface.load(folder), tokens) - expected(whole, tokens)).max() < TOLERANCE


def test_without_the_permutation_the_logits_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model, tokenizer = make(folder, "llama"), save_tokenizer(folder, "llama-bpe")
    monkeypatch.setattr(huggingface, "NEIGHBOURS", ())
    tokens = tokenizer.encode(TEXT).ids
    assert np.abs(forward.logits(huggingface.load(folder), tokens) - expected(model, tokens)).max() > 0.1
