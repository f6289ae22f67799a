"""BERT's tokenizer: words in small letters, cut into the longest pieces that the vocabulary has.

As in google-research/bert's tokenization.py (Apache-2.0), written anew; read from a `tokenizer.json` or a `vocab.txt`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.core.errors import InputError, NotFound, Unsupported

LARGEST_BYTES = 64 << 20
LONGEST_WORD = 100
"""Letters: what is longer is no word."""
HINT = "the tokenizer.json, or the vocab.txt, of the embedding model"
_WIDE = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))
"""Letters of Chinese, each a word of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPiece:
    """The vocabulary, and whether texts are brought to small letters without accents first."""

    numbers: Mapping[str, int]
    lowers: bool = True

    def encode(self, text: str, longest: int) -> list[int]:
        """`[CLS]`, the pieces of the text as far as they have room, `[SEP]`."""
        found = [number for word in words(text, lowers=self.lowers) for number in self._pieces(word)]
        return [self.numbers["[CLS]"], *found[: longest - 2], self.numbers["[SEP]"]]

    @property
    def padding(self) -> int:
        """What fills up a row."""
        return self.numbers.get("[PAD]", 0)

    def _pieces(self, word: str) -> list[int]:
        found, start = list[int](), 0
        while start < len(word) <= LONGEST_WORD:
            prefix = "##" if start else ""
            ends = (end for end in range(len(word), start, -1) if prefix + word[start:end] in self.numbers)
            end = next(ends, 0)
            if not end:
                break
            found.append(self.numbers[prefix + word[start:end]])
            start = end
        return found if start == len(word) else [self.numbers["[UNK]"]]


def read_vocabulary(path: Path) -> WordPiece:
    """The tokenizer in a file. Raises `NotFound`, `InputError` for a damaged file, `Unsupported` for one of another kind."""
    if not path.is_file():
        raise NotFound(f"no vocabulary at {str(path)!r}", HINT)
    if path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"{path.name!r} has {path.stat().st_size:,} bytes; {LARGEST_BYTES:,} are read at most", HINT)
    text = path.read_text("utf-8", errors="replace")
    made = _from_json(path, text) if path.suffix == ".json" else WordPiece(numbers=_numbered(text))
    if absent := [name for name in ("[CLS]", "[SEP]", "[UNK]") if name not in made.numbers]:
        raise InputError(f"{path.name!r} is no vocabulary of BERT's kind: it has no {', '.join(absent)}", HINT)
    return made


def _numbered(text: str) -> dict[str, int]:
    return {line: number for number, line in enumerate(text.splitlines())}


def _from_json(path: Path, text: str) -> WordPiece:
    try:
        given: Any = json.loads(text)
        model, normalizer = given["model"], given.get("normalizer") or {}
        kind, vocabulary = model.get("type", "WordPiece"), model["vocab"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise InputError(f"{path.name!r} is no tokenizer: {type(exc).__name__}: {exc}", HINT) from exc
    if kind != "WordPiece" or not isinstance(vocabulary, dict):
        raise Unsupported(
            f"{path.name!r} cuts words by {kind}; WordPiece is what is read", "an embedding model of BERT's family"
        )
    if not all(isinstance(number, int) and number >= 0 for number in vocabulary.values()):
        raise InputError(f"{path.name!r}: a piece of the vocabulary has no number", HINT)
    return WordPiece(numbers=vocabulary, lowers=bool(normalizer.get("lowercase", True)))


def words(text: str, *, lowers: bool) -> Iterator[str]:
    """Words, signs and wide letters, one after the other."""
    if lowers:
        text = "".join(sign for sign in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(sign) != "Mn")
    word = ""
    for sign in text:
        alone = _is_sign(sign) or _is_wide(sign)
        if (alone or sign.isspace()) and word:
            yield word
            word = ""
        if alone:
            yield sign
        elif not sign.isspace() and unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Co", "Cn"):
            word += sign
    if word:
        yield word


def _is_sign(sign: str) -> bool:
    return unicodedata.category(sign).startswith("P") or (
        sign.isascii() and sign.isprintable() and not sign.isalnum() and sign != " "
    )


def _is_wide(sign: str) -> bool:
    return any(low <= ord(sign) <= high for low, high in _WIDE)
