"""What a document becomes: its text, and where in it the blocks lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HEADING = 200
"""Characters of a heading that are kept: it stands beside every passage below it."""
_ZERO = {0: " "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Characters `start` to `end` of a text: a paragraph, a list item, a table row. `page` counts from 1; 0 where there are none."""

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A document as plain text. Offsets count characters of `text`, which for txt and md is the file's own text."""

    text: str
    blocks: tuple[Block, ...]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of text on its way into a `Text`. A `level` from 1 makes it a heading of that level."""

    text: str
    level: int = 0
    page: int = 0


def assembled(parts: Iterable[Part], title: str = "") -> Text:
    """The parts one below the other, a blank line between them, each under the headings before it."""
    pieces: list[str] = []
    blocks: list[Block] = []
    headings: tuple[tuple[int, str], ...] = ()
    at = 0
    for part in _tidy(parts):
        if part.level:
            headings = under(headings, part.level, part.text)
        path = tuple(name for _, name in headings)
        blocks.append(Block(start=at, end=at + len(part.text), headings=path, page=part.page))
        pieces.append(part.text)
        at += len(part.text) + 2
    return Text(text="\n\n".join(pieces), blocks=tuple(blocks), title=named(storable(title)) or _first_heading(blocks))


def under(headings: tuple[tuple[int, str], ...], level: int, name: str) -> tuple[tuple[int, str], ...]:
    """The path of headings after one of that level: those above it stay, deeper and equal ones end."""
    return (*(one for one in headings if one[0] < level), (level, named(name)))


def named(text: str) -> str:
    """A heading or a title on one line, and no longer than is kept."""
    line = " ".join(text.split())
    return line if len(line) <= HEADING else f"{line[: HEADING - 1]}…"


def storable(text: str) -> str:
    """The text, as long as it was, with a blank for zeros and a question mark for halves of characters: SQLite takes neither."""
    return text.encode("utf-8", errors="replace").decode().translate(_ZERO)


def _tidy(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        text = "\n".join(line.rstrip() for line in storable(part.text).strip().splitlines())
        if text:
            yield Part(text=text, level=part.level, page=part.page)


def _first_heading(blocks: Iterable[Block]) -> str:
    return next((block.headings[0] for block in blocks if block.headings), "")
