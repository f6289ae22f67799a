"""Answers without a model: the sentences of the passages that cover most of the question, quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgekit.apps.assistant.answers.sources import Source
from edgekit.apps.assistant.grounding.support import Question
from edgekit.apps.assistant.grounding.words import words

SENTENCES = 3
NEARLY = 0.75
"""A further sentence is quoted when it covers this share of what the best one does."""
SHORTEST = 4
"""Words: what is shorter is a heading or a label."""

_CODE = re.compile(r"^[ ]{0,3}(```|~~~).*?(?:^[ ]{0,3}\1|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"\A(?=[^\n]*[^\W\d_])[^\na-zß-öø-ÿ]+\n\s*(?=[^\sa-zß-öø-ÿ])")
"""A line in capitals above a sentence, as plain texts have their headings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """The quoted sentences, each followed by its `[n]`, and their places."""

    text: str
    citations: tuple[Source, ...]


def extract(question: Question, sources: Sequence[Source]) -> Extract:
    """Up to three sentences, best first; the passages keep their numbers, and their places shrink to what is quoted."""
    found = sorted(_sentences(question, sources), key=lambda one: (-one.score, one.n, one.start))
    floor = NEARLY * found[0].score if found else 0.0
    kept: list[Source] = []
    for one in found:
        if one.score >= floor and len(kept) < SENTENCES and not any(words(one.text) == words(other.text) for other in kept):
            kept.append(one)
    text = " ".join(f"{' '.join(one.text.split())} [{one.n}]" for one in kept)
    return Extract(text=text, citations=tuple(sorted(kept, key=lambda one: one.n)))


def _sentences(question: Question, sources: Sequence[Source]) -> Iterator[Source]:
    """Sentences that cover something, but code and what programs printed are not quoted as answers."""
    for source in sources:
        code = [fence.span() for fence in _CODE.finditer(source.text)]
        for sentence in question.all(source.text):
            text = source.text[sentence.start : sentence.end]
            is_code = any(start < sentence.end and sentence.start < end for start, end in code)
            if sentence.score > 0 and len(words(text)) >= SHORTEST and not is_code:
                text = _HEADING.sub("", text)
                start = source.start + sentence.end - len(text)
                yield replace(source, start=start, end=start + len(text), text=text, score=sentence.score)
