"""Markdown: the file's own text, its headings known, code left whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgekit.apps.assistant.documents.plain import decoded
from edgekit.apps.assistant.documents.text import Block, Text, under

_HEADING = re.compile(r" {0,3}(?P<marks>#{1,6})[ \t]+(?P<name>.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(?P<mark>=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})")


def read(path: Path) -> Text:
    """Blocks are paragraphs, fenced code and headings; offsets count characters of the file."""
    text = decoded(path, path.read_bytes())
    headings: tuple[tuple[int, str], ...] = ()
    blocks = []
    for start, end in _paragraphs(text):
        level, name = _heading(text[start:end])
        if level:
            headings = under(headings, level, name)
        blocks.append(Block(start=start, end=end, headings=tuple(one for _, one in headings)))
    title = next((block.headings[0] for block in blocks if block.headings), "")
    return Text(text=text, blocks=tuple(blocks), title=title)


def _heading(block: str) -> tuple[int, str]:
    """Level and name of a block that is a heading; level 0 for others."""
    first, _, rest = block.partition("\n")
    if not rest and (marked := _HEADING.match(first)):
        return len(marked["marks"]), marked["name"]
    if (line := _UNDERLINE.match(rest)) and not _HEADING.match(first):
        return (1 if line["mark"][0] == "=" else 2), first.strip()
    return 0, ""


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each block: lines up to a blank one or a heading; a fence holds blank lines together."""
    begun, fence, at, last = -1, "", 0, 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip()
        mark = _FENCE.match(line)
        alone = not fence and _HEADING.match(bare) is not None
        if begun >= 0 and not fence and (not bare or alone):
            yield begun, last
            begun = -1
        if bare and begun < 0:
            begun = at + len(line) - len(line.lstrip())
        if mark and (not fence or mark["mark"].startswith(fence)):
            fence = "" if fence else mark["mark"]
        last = at + len(bare) if bare else last
        ends = alone or (begun >= 0 and not fence and _UNDERLINE.match(bare) and text.count("\n", begun, at) == 1)
        if ends:
            yield begun, last
            begun = -1
        at += len(line)
    if begun >= 0:
        yield begun, last
