"""What a model cited, checked: numbers that were not offered are removed, sentences that their passages do not support marked."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgekit.apps.assistant.answers.sources import Source
from edgekit.apps.assistant.grounding.support import Question
from edgekit.apps.assistant.grounding.words import content_words, sentences

SUPPORTED = 0.5
"""The share of a sentence's content words that must be in the passages it cites."""
_MARK = re.compile(r"\[(?P<ids>\d{1,6}(?:\s*[,;]\s*\d{1,6})*)\]")
_BEGUN = re.compile(r"\[[\d\s,;]{0,24}\Z")
_LEADING = re.compile(r"^\s*(?:\[\d+\]\s*)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence of an answer, characters `start` to `end`: what it cites, and whether that says so."""

    start: int
    end: int
    cited: tuple[int, ...]
    supported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An answer whose every `[n]` was offered. `citations` are the passages it cites."""

    text: str
    citations: tuple[Source, ...]
    claims: tuple[Claim, ...]

    @property
    def unsupported(self) -> tuple[str, ...]:
        """The sentences that their passages do not support."""
        return tuple(self.text[claim.start : claim.end] for claim in self.claims if not claim.supported)


def checked(answer: str, sources: Sequence[Source]) -> Checked:
    """The answer without invented numbers, sentence by sentence."""
    offered = {source.n: source for source in sources}
    text = without_invented(answer, offered)
    claims = tuple(_claims(text, offered))
    cited = {n for claim in claims for n in claim.cited}
    return Checked(text=text, citations=tuple(source for n, source in offered.items() if n in cited), claims=claims)


def without_invented(answer: str, offered: Collection[int]) -> str:
    """`[1, 9]` becomes `[1]` when 9 was not offered; `[9]` goes, with the space before it."""
    *before, last = _MARK.sub(lambda mark: _kept(mark["ids"], offered) or "\0", answer).split("\0")
    return "".join([*(text.rstrip(" \t") for text in before), last])


class Stream:
    """The same, piece by piece as a model speaks: text is held back only while it may become a citation."""

    def __init__(self, offered: Collection[int]) -> None:
        self._offered = offered
        self._held = ""

    def push(self, piece: str) -> str:
        """What may be shown now."""
        text = self._held + piece
        begun = _BEGUN.search(text)
        at = begun.start() if begun else len(text)
        at = len(text[:at].rstrip(" \t"))  # the space goes with the number
        self._held = text[at:]
        return without_invented(text[:at], self._offered)

    def flush(self) -> str:
        """What was still held back."""
        held, self._held = self._held, ""
        return without_invented(held, self._offered)


def _kept(ids: str, offered: Collection[int]) -> str:
    return "".join(f"[{n}]" for n in dict.fromkeys(map(int, re.findall(r"\d+", ids))) if n in offered)


def _claims(text: str, offered: dict[int, Source]) -> list[Claim]:
    """The sentences, each with the numbers in it and those that follow its full stop."""
    spans = list(sentences(text))
    claims = []
    for at, (start, end) in enumerate(spans):
        lead = _LEADING.match(text[start:end])
        if lead and at:
            start += lead.end()
        follow = _LEADING.match(text[end : spans[at + 1][1]]) if at + 1 < len(spans) else None
        own = text[start:end] + (follow.group() if follow else "")
        if start < end and content_words(_MARK.sub("", text[start:end])):
            claims.append(_claim(start, end, own, offered))
    return claims


def _claim(start: int, end: int, text: str, offered: dict[int, Source]) -> Claim:
    cited = tuple(dict.fromkeys(int(n) for mark in _MARK.finditer(text) for n in re.findall(r"\d+", mark["ids"])))
    said = Question(_MARK.sub("", text))
    named = " ".join(offered[n].text for n in cited) if cited else " ".join(source.text for source in offered.values())
    return Claim(start=start, end=end, cited=cited, supported=said.covered(named) >= SUPPORTED)
