"""tokenizer.json of Hugging Face as GGUF's keys: pieces, kinds, merges, and which rule cuts text before they apply."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.converters.gguf.model import FLOAT32, INT32, array, count, text, truth
from edgekit.core.errors import InputError, NotFound, Unsupported
from edgekit.core.gguf_file import STRING, Typed

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
LARGEST_BYTES = 256 << 20
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
RULES: Mapping[str, str] = {
    _WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe",
    _WORDS + r"\p{N}" + _REST: "qwen2",
}
"""The expression a tokenizer splits by, and llama.cpp's name for it."""


def tokenizer_values(folder: Path, size: int) -> dict[str, Typed]:
    """The tokenizer in `folder` for a model with `size` rows. Raises `Unsupported` for one no engine would cut alike."""
    whole, config = read_json(folder / "tokenizer.json"), _optional(folder / "tokenizer_config.json")
    model = whole.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or not isinstance(model.get("vocab"), dict):
        raise Unsupported("tokenizer.json is no BPE tokenizer", "the families that can be converted all have one")
    added_too, merged = whole.get("added_tokens") or [], model.get("merges") or []
    if not isinstance(added_too, list) or not isinstance(merged, list):
        raise InputError("tokenizer.json is no BPE tokenizer: its added pieces or merges are no lists")
    added = [entry for entry in added_too if isinstance(entry, dict)]
    pieces, kinds = _pieces(model["vocab"], added, size, bool(model.get("byte_fallback")))
    common = {
        "tokenizer.ggml.tokens": array(pieces, STRING),
        "tokenizer.ggml.token_type": array(kinds, INT32),
        **_special(config, _optional(folder / "config.json"), pieces),
        **_template(folder, config),
    }
    if model.get("byte_fallback"):
        return {**_like_sentencepiece(merged, pieces), **common}
    merges = [_merge(entry) for entry in merged]
    return {
        "tokenizer.ggml.model": text("gpt2"),
        "tokenizer.ggml.pre": text(_rule(whole.get("pre_tokenizer"))),
        "tokenizer.ggml.merges": array(merges, STRING),
        **common,
    }


def _pieces(
    vocabulary: Mapping[str, Any], added: Sequence[Mapping[str, Any]], size: int, bytes_too: bool
) -> tuple[list[str], list[int]]:
    """Every row's piece and kind; rows that the vocabulary does not reach are unused."""
    pieces, kinds = [f"[PAD{index}]" for index in range(size)], [UNUSED] * size
    for piece, index in vocabulary.items():
        _ensure_row(piece, index, size)
        pieces[index] = piece
        kinds[index] = BYTE if bytes_too and len(piece) == 6 and piece.startswith("<0x") else NORMAL
    for entry in added:
        piece, index = str(entry.get("content", "")), entry.get("id")
        _ensure_row(piece, index, size)
        assert isinstance(index, int)  # just ensured
        pieces[index], kinds[index] = piece, CONTROL if entry.get("special") else USER
    if bytes_too and pieces and pieces[0] == "<unk>":
        kinds[0] = UNKNOWN
    return pieces, kinds


def _ensure_row(piece: str, index: Any, size: int) -> None:
    if type(index) is not int or not 0 <= index < size:
        raise InputError(f"tokenizer.json gives {piece!r} the number {index!r}; the model has {size} rows")


def _merge(entry: Any) -> str:
    parts = entry.split(" ") if isinstance(entry, str) else entry
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise InputError(f"tokenizer.json has {entry!r} among its merges")
    return " ".join(parts)


def _rule(cutter: Any) -> str:
    """llama.cpp's name for how text is cut before merging. Raises `Unsupported` for one it has no name for."""
    given = cutter.get("pretokenizers", [cutter]) if isinstance(cutter, dict) else []
    parts = [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []
    kinds = [part.get("type") for part in parts]
    patterns = [part.get("pattern") for part in parts if part.get("type") == "Split"]
    expressions = [pattern.get("Regex") if isinstance(pattern, dict) else pattern for pattern in patterns]
    if kinds == ["Split", "ByteLevel"] and isinstance(expressions[0], str) and expressions[0] in RULES:
        return RULES[expressions[0]]
    if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits") and parts[1].get("use_regex", True):
        return "smollm"
    if kinds == ["ByteLevel"] and parts[0].get("use_regex", True):
        return "gpt-2"
    raise Unsupported(
        f"tokenizer.json cuts text by {kinds} {expressions}, for which engines have no name", "is it a new model?"
    )


def _like_sentencepiece(merged: Sequence[Any], pieces: Sequence[str]) -> dict[str, Typed]:
    """Older llamas: merges in the order of scores. A piece's score is less the later it is merged."""
    made = {"".join(_merge(entry).split(" ")): -float(rank) for rank, entry in enumerate(merged)}
    last = -float(len(made))
    return {
        "tokenizer.ggml.model": text("llama"),
        "tokenizer.ggml.pre": text("default"),
        "tokenizer.ggml.scores": array([made.get(piece, last) for piece in pieces], FLOAT32),
        "tokenizer.ggml.add_space_prefix": truth(True),
    }


def _special(config: Mapping[str, Any], model: Mapping[str, Any], pieces: Sequence[str]) -> dict[str, Typed]:
    """The numbers of the tokens that begin, end and fill."""
    places = {piece: index for index, piece in enumerate(pieces)}
    found: dict[str, Typed] = {}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
        said = config.get(f"{name}_token")
        content = said.get("content") if isinstance(said, dict) else said
        number = places.get(content) if isinstance(content, str) else model.get(f"{name}_token_id")
        number = number[0] if isinstance(number, list) and number else number
        if type(number) is int and 0 <= number < len(pieces):
            found[f"tokenizer.ggml.{key}_token_id"] = count(number)
    begins = config.get("add_bos_token")
    if begins is None:
        begins = "tokenizer.ggml.bos_token_id" in found and config.get("tokenizer_class") in (
            "LlamaTokenizer",
            "LlamaTokenizerFast",
        )
    return {**found, "tokenizer.ggml.add_bos_token": truth(bool(begins))}


def _template(folder: Path, config: Mapping[str, Any]) -> dict[str, Typed]:
    beside = folder / "chat_template.jinja"
    found = beside.read_text("utf-8", errors="replace") if beside.is_file() else config.get("chat_template")
    if isinstance(found, list):  # several by name: the one for talking
        named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = named.get("default")
    return {"tokenizer.chat_template": text(found)} if isinstance(found, str) and found else {}


def _optional(path: Path) -> Mapping[str, Any]:
    return read_json(path) if path.is_file() else {}


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file. Raises `NotFound`, `InputError`."""
    if not path.is_file():
        raise NotFound(f"{str(path)!r} is missing", "is the folder whole?")
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path.name!r} is larger than {LARGEST_BYTES >> 20} MiB")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path.name!r} is no JSON: {exc}", "git lfs pull, or download it again") from exc
    if not isinstance(found, dict):
        raise InputError(f"{path.name!r} holds no object")
    return found
