"""Paragraphs of a plain text that flow, for showing: the breaks that only stand there because a line was full.

Nothing is changed in the text. A break counts as one of width when the next line's first word would not have had room on its line;
lists, tables, code, verses, headings and whatever else sets its own lines keep them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from statistics import median
from typing import TypeAlias

Gap: TypeAlias = tuple[int, int]
"""Start and end of what is shown as one space, or as nothing behind a hyphen."""

NARROWEST = 56
"""Characters: lines that are all shorter were hardly broken for want of room."""
RAGGED = 3
"""Characters: some editors break a little before their margin."""
VERSES = 4
"""So many lines that all begin with a capital, or fewer that end with a stop as well, are verses or entries."""

_FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
_BLOCK = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|\Z))+")
_ITEM = re.compile(r"[ \t]*(?:[-*+•–—·▪◦‣]|\(?\w{1,3}[.)]|\[[^\]]{1,12}\]:?)[ \t]+")
_OWN = re.compile(r"[ ]{0,3}[#>|<]|.*(?:\t|\S {2,}\S| \| |[{}]$|\);$|=.*;$|[\"']{3}|==|!=|\\$| {2}$)|\W*$")
"""Lines whose break is meant: headings, quotations, tables, tags, columns, code, and Markdown's own breaks."""
_STOP = re.compile(r"[.,;:!?]['\"”’)]*$")


def shown(text: str, start: int, end: int, gaps: Sequence[Gap]) -> str:
    """`text[start:end]` as HTML, with the parts of `gaps` in it closed."""
    parts, at = [], start
    for first, last in gaps:
        if at <= first < end:
            parts += [escape(text[at:first]), "" if text[first - 1 : first] in "-\u00ad" else " "]
            at = min(last, end)
        elif first < start < last:
            at = min(last, end)
    return "".join([*parts, escape(text[at:end])])


def gaps(text: str) -> tuple[Gap, ...]:
    """The breaks of width in a text, with the blanks around them."""
    return tuple(gap for start, end in _blocks(text) for gap in _in_block(text, start, end))


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Lines without an empty one between; not those of fenced code, nor those that stand further in from the beginning."""
    fence = ""
    for block in _BLOCK.finditer(text):
        start = at = block.start()
        for line in block[0].splitlines(keepends=True):
            mark = _FENCE.match(line)
            if mark and fence in ("", mark[1]):
                if not fence:
                    yield start, at
                fence, start = ("" if fence else mark[1]), at + len(line)
            at += len(line)
        if not fence:
            yield start, at


def _in_block(text: str, start: int, end: int) -> Iterator[Gap]:
    """Of each item of a list by itself, and of what stands before the first."""
    at = start
    lines: list[tuple[int, int]] = []
    for line in text[start:end].splitlines(keepends=True):
        if _ITEM.match(line) and lines:
            yield from _in_paragraph(text, lines)
            lines = []
        lines.append((at, at + len(line.rstrip("\r\n"))))
        at += len(line)
    yield from _in_paragraph(text, lines)


def _in_paragraph(text: str, lines: Sequence[tuple[int, int]]) -> Iterator[Gap]:
    said = [text[start:end] for start, end in lines]
    if len(lines) < 2 or not _is_prose(said):
        return
    # A line that is longer than its margin, for a link in it or a word put in later, does not move the others' margin.
    width = max(median(map(len, said[:-1])), len(said[-1])) - RAGGED
    full = [len(line.rstrip()) + 1 + len(after.split()[0]) > width for line, after in pairwise(said)]
    heading = not full[0] and len(full) > 1  # the first line may be the paragraph's name
    if all(full[heading:]):
        starts = (start for start, _ in lines)
        for (start, line), (after, following) in list(pairwise(zip(starts, said, strict=True)))[heading:]:
            yield start + len(line.rstrip()), after + len(following) - len(following.lstrip())


def _is_prose(lines: Sequence[str]) -> bool:
    """Whether the lines may be one paragraph, or one item of a list: after the first, all begin at the same place."""
    item = _ITEM.match(lines[0])
    said = (lines[0][item.end() if item else 0 :], *lines[1:])
    if max(map(len, lines)) < NARROWEST or any(map(_OWN.match, said)):
        return False
    begins = {len(line) - len(line.lstrip()) for line in lines[1:]}
    return len(begins) == 1 and not _are_verses(lines) and not _are_rows(lines)


def _are_verses(lines: Sequence[str]) -> bool:
    """Each begins with no small letter: not only where a sentence does."""
    capital = all(not line.lstrip(" \t\"'“‘(«„")[:1].islower() for line in lines[1:])
    return capital and (len(lines) >= VERSES or any(_STOP.search(line.rstrip()) for line in lines[:-1]))


def _are_rows(lines: Sequence[str]) -> bool:
    """Entries that begin alike, values with as many commas in each line, or hardly a space anywhere."""
    alike = len({line.split()[0] for line in lines}) == 1 or all(line.lstrip("([")[:1].isdigit() for line in lines)
    commas = {line.count(",") for line in lines}
    words = sum(len(line.split()) for line in lines) / len(lines)
    values = len(commas) == 1 and words < 3 * max(commas)
    return alike or values or any(" " not in line.strip()[:30] for line in lines[:-1])
