"""The passages that an answer may cite, numbered from 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgekit.apps.assistant.grounding.search import Hit

FLOOR = 0.3
"""Below this share of the question's words, no passage is about it. Of the questions of XQuAD and PubMedQA 1 and 2 of 100 are below it
among their own passages, 98 and 85 of 100 among the other's; `benchmarks/retrieval.py` prints it."""
NOT_THERE = "This is not in your documents."


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A passage under its number. `start` and `end` are its place in the document's text."""

    n: int
    path: str
    page: int
    start: int
    end: int
    title: str
    headings: tuple[str, ...]
    text: str
    score: float

    @property
    def where(self) -> str:
        """`manual.pdf, page 4, Wiring › Power`, for a person."""
        page = f", page {self.page}" if self.page else ""
        return f"{self.path}{page}" + (f", {' › '.join(self.headings)}" if self.headings else "")

    def citation(self) -> dict[str, Any]:
        """As in the JSON of answers; `page` is null where a document has none."""
        return {"n": self.n, "path": self.path, "page": self.page or None, "start": self.start, "end": self.end}

    def as_json(self) -> dict[str, Any]:
        """Everything about it."""
        return asdict(self) | {"page": self.page or None, "headings": list(self.headings)}


def numbered(hits: Sequence[Hit], floor: float = FLOOR) -> tuple[Source, ...]:
    """The hits in their order. None when not one of them is about the question."""
    if max((hit.score for hit in hits), default=0.0) < floor:
        return ()
    return tuple(
        Source(
            n=n,
            path=hit.passage.path,
            page=hit.passage.page,
            start=hit.passage.start,
            end=hit.passage.end,
            title=hit.passage.title,
            headings=hit.passage.headings,
            text=hit.passage.text,
            score=round(hit.score, 4),
        )
        for n, hit in enumerate(hits, 1)
    )
