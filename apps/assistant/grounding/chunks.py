"""Cutting a document into chunks: whole paragraphs under one heading, long ones between sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.apps.assistant.documents.text import Block, Text
from edgekit.apps.assistant.grounding.words import sentences, words

TARGET, LONGEST = 1200, 2400
"""Characters: a chunk is filled up to the first with whole paragraphs; a paragraph up to the second stays whole."""
OVERLAP = 0.15
"""Of TARGET: how much of a piece of a long paragraph comes again at the beginning of the next."""
VERSION = "1"
"""Another one means that indexed documents are to be cut again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Characters `start` to `end` of the document's text, the headings above them and their page (0 where there are none)."""

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int = 0


def chunks(document: Text) -> Iterator[Chunk]:
    """The document's chunks in order. A chunk never crosses a heading or a page; headings with nothing under them are none."""
    for block in _grouped(document):
        if not _is_heading_alone(document.text[block.start : block.end], block.headings):
            yield from _split(document.text, block)


def _grouped(document: Text) -> Iterator[Block]:
    """Neighbouring blocks of one section joined up to TARGET."""
    held: Block | None = None
    for block in document.blocks:
        if held and (held.headings, held.page) == (block.headings, block.page) and block.end - held.start <= TARGET:
            held = Block(start=held.start, end=block.end, headings=held.headings, page=held.page)
            continue
        if held:
            yield held
        held = block
    if held:
        yield held


def _is_heading_alone(text: str, headings: tuple[str, ...]) -> bool:
    return bool(headings) and words(text) == words(headings[-1])


def _split(text: str, block: Block) -> Iterator[Chunk]:
    if block.end - block.start <= LONGEST:
        yield Chunk(start=block.start, end=block.end, headings=block.headings, page=block.page)
        return
    for start, end in _windows([(block.start + a, block.start + b) for a, b in _pieces(text[block.start : block.end])]):
        yield Chunk(start=start, end=end, headings=block.headings, page=block.page)


def _windows(pieces: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs of pieces up to TARGET, each beginning with the last pieces of the one before it, up to OVERLAP."""
    first = 0
    while first < len(pieces):
        last = first
        while last + 1 < len(pieces) and pieces[last + 1][1] - pieces[first][0] <= TARGET:
            last += 1
        yield pieces[first][0], pieces[last][1]
        if last + 1 == len(pieces):
            return
        begin = last + 1
        while begin - 1 > first and pieces[last][1] - pieces[begin - 1][0] <= OVERLAP * TARGET:
            begin -= 1
        first = begin


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Sentences; one that is longer than a chunk is cut at spaces."""
    for start, end in sentences(text):
        while end - start > TARGET:
            cut = text.rfind(" ", start + TARGET // 2, start + TARGET) + 1 or start + TARGET
            yield start, cut
            start = cut
        yield start, end
