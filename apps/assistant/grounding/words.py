"""Words and sentences of a text, by rules that need no model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TypeAlias

_WORD = re.compile(r"\w+")
_SPACED = {code: sign if (sign := chr(code)).isalnum() or sign == "_" else " " for code in range(128)}
"""ASCII with every sign that is of no word as a space: splitting there is twice as fast as looking for words."""
_ACCENT = re.compile("[\u0300-\u036f]")
_SENTENCE_END = re.compile(r"""[.!?…]['")\]’”]*(?=\s)|\n\s*\n|\n(?=\s*(?:[-*+|#>]|\d{1,3}[.)])\s)|\Z""")
"""A full stop and its like, a blank line, and the line before a list's item, a table's row, a heading or a quotation."""
_ABBREVIATIONS = frozenset(
    [
        "e.g",
        "i.e",
        "etc",
        "cf",
        "vs",
        "al",
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "no",
        "nos",
        "fig",
        "figs",
        "sec",
        "ch",
        "vol",
        "pp",
        "p",
        "ed",
        "eds",
        "approx",
        "ca",
        "inc",
        "ltd",
        "co",
        "jr",
        "sr",
        "u.s",
        "u.k",
    ]
)
_CLOSED_CLASS = """
a about after all also an and any are as at be because been before being between both but by can could did do does doing
during each few for from further had has have having he her here hers him his how i if in into is it its itself just me more
most my no nor not of off on once only or other our out over own same she should so some such than that the their them then
there these they this those through to too under until up was we were what when where which while who whom whose why will
with would you your yours
"""
_ASKING = "call called kind kinds many much name named names term type types"
STOP_WORDS = frozenset(f"{_CLOSED_CLASS} {_ASKING}".split())
"""English words of the closed classes, and those that questions are made with: they say nothing of what it is about."""


def words(text: str) -> list[str]:
    """The words in small letters without accents, in their order."""
    folded = plain(text)
    return folded.translate(_SPACED).split() if folded.isascii() else _WORD.findall(folded)


def content_words(text: str) -> list[str]:
    """The words without `STOP_WORDS`; all of them where nothing else is left."""
    every = words(text)
    return [word for word in every if word not in STOP_WORDS] or every


def plain(text: str) -> str:
    """Small letters without accents, which is how words are compared."""
    folded = text.casefold()
    return folded if folded.isascii() else _ACCENT.sub("", unicodedata.normalize("NFKD", folded))


Apart: TypeAlias = tuple[tuple[int, int, frozenset[str]], ...]
"""Start, end and words of each sentence of a text."""


def taken_apart(text: str) -> Apart:
    """The text's sentences with their words."""
    return tuple((start, end, frozenset(words(text[start:end]))) for start, end in sentences(text))


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, without the spaces around it. An abbreviation's full stop ends none."""
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if _is_abbreviation(text, start, end.start()):
            continue
        whole = text[start : end.end()]
        said = whole.lstrip()
        begin = end.end() - len(said)
        if said := said.rstrip():
            yield begin, begin + len(said)
        start = end.end()


def _is_abbreviation(text: str, start: int, stop: int) -> bool:
    if text[stop : stop + 1] != ".":
        return False
    last = text[max(start, text.rfind(" ", start, stop) + 1) : stop].lstrip("(\"'[“‘").lower()
    return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last != "i")
