"""Markdown: the file's own text, its headings known, code left whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgekit.apps.assistant.documents.limits import bounded
from edgekit.apps.assistant.documents.plain import decoded
from edgekit.apps.assistant.documents.text import Block, Text, under

_MARKS = re.compile(r" {0,3}(?P<marks>#{1,6})(?=[ \t])")
_UNDERLINE = re.compile(r" {0,3}(?P<mark>=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})")


def read(path: Path) -> Text:
    """Blocks are paragraphs, fenced code and headings; offsets count characters of the file."""
    text = decoded(path, path.read_bytes())
    blocks = bounded(path, _blocks(text))
    title = next((block.headings[0] for block in blocks if block.headings), "")
    return Text(text=text, blocks=blocks, title=title)


def _blocks(text: str) -> Iterator[Block]:
    headings: tuple[tuple[int, str], ...] = ()
    for start, end in _paragraphs(text):
        level, name = _heading(text[start:end])
        if level:
            headings = under(headings, level, name)
        yield Block(start=start, end=end, headings=tuple(one for _, one in headings))


def _heading(block: str) -> tuple[int, str]:
    """Level and name of a block that is a heading; level 0 for others."""
    first, _, rest = block.partition("\n")
    level, name = _marked(first)
    if level and not rest:
        return level, name
    if not level and (line := _UNDERLINE.match(rest)):
        return (1 if line["mark"][0] == "=" else 2), first.strip()
    return 0, ""


def _marked(line: str) -> tuple[int, str]:
    """Level and name of a line that begins with `#` to `######`; level 0 for others. `#` at the end goes, but not that of `C#`."""
    begun = _MARKS.match(line)
    if begun is None:
        return 0, ""
    name = line[begun.end() :].strip(" \t")
    bare = name.rstrip("#")
    return len(begun["marks"]), name if bare and bare[-1] not in " \t" else bare.rstrip(" \t")


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each block: lines up to a blank one or a heading; a fence holds blank lines together."""
    begun, lines, fence, at, last = -1, 0, "", 0, 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip()
        mark = _FENCE.match(line)
        alone = not fence and _marked(bare)[0] > 0
        if begun >= 0 and not fence and (not bare or alone):
            yield begun, last
            begun = -1
        if bare and begun < 0:
            begun, lines = at + len(line) - len(line.lstrip()), 0
        lines += 1
        if mark and (not fence or mark["mark"].startswith(fence)):
            fence = "" if fence else mark["mark"]
        last = at + len(bare) if bare else last
        if alone or (begun >= 0 and not fence and lines == 2 and _UNDERLINE.match(bare)):
            yield begun, last
            begun = -1
        at += len(line)
    if begun >= 0:
        yield begun, last
