"""Passages as `--search` and the interface give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgekit.apps.assistant.library import Library


def passages(library: Library, question: str, top: int) -> list[Mapping[str, Any]]:
    """The passages nearest to a question, best first, whatever their score."""
    return [
        {
            "path": hit.passage.path,
            "page": hit.passage.page or None,
            "headings": list(hit.passage.headings),
            "start": hit.passage.start,
            "end": hit.passage.end,
            "text": hit.passage.text,
            "score": round(hit.score, 4),
        }
        for hit in library.find(question, top)
    ]


def shown(found: Sequence[Mapping[str, Any]]) -> str:
    """For a person: where each is, and its text."""
    blocks = []
    for one in found:
        where = one["path"] + (f", page {one['page']}" if one["page"] else "")
        above = f" › {' › '.join(one['headings'])}" if one["headings"] else ""
        blocks.append(f"{where}{above}  {one['score']:.2f}\n{one['text']}")
    return "\n\n".join(blocks) or "nothing found"
