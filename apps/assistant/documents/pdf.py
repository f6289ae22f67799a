"""PDF, by pypdf: page by page. Runs in a process of its own (`confined.py`)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit.apps.assistant.documents.limits import PAGES, bounded, check_characters
from edgekit.apps.assistant.documents.text import Part, Text, assembled
from edgekit.core.errors import InputError
from edgekit.core.optional import need

log = logging.getLogger(__name__)
_HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_NEXT = re.compile(r"\n\s*\n|(?<=[.!?:])\n(?=[A-Z0-9•])")


def read(path: Path) -> Text:
    """Offsets count characters of the extracted text. Raises `InputError` for encrypted and damaged files and for scans."""
    pypdf = need("pypdf")
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError(f"{path.name!r} is encrypted", "save it without a password")
        pages = len(reader.pages)
        if pages > PAGES:
            raise InputError(f"{path.name!r} has {pages:,} pages; {PAGES:,} are read at most", "split it")
        parts = bounded(path, _parts(path, reader, _headings(reader, pypdf.errors.PyPdfError)))
        title = str((reader.metadata or {}).get("/Title") or "")
    except (pypdf.errors.PyPdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as exc:
        raise InputError(f"{path.name!r} is no readable PDF: {_said(exc)}", "does another program open it?") from exc
    if not parts and pages:
        raise InputError(f"{path.name!r} has {pages} pages and no text in them: a scan", "run text recognition (OCR) over it")
    return assembled(parts, title)


def _parts(path: Path, reader: Any, headings: Mapping[int, list[Part]]) -> Iterator[Part]:
    """The paragraphs, and each entry of the outline as a heading where its page begins."""
    characters = 0
    for number, page in enumerate(reader.pages, 1):
        text = _HYPHEN.sub("", page.extract_text())
        characters += len(text)
        check_characters(path, characters)
        yield from headings.get(number, ())
        yield from (Part(text=" ".join(block.split()), page=number) for block in _NEXT.split(text) if block.strip())


def _headings(reader: Any, error: type[Exception]) -> dict[int, list[Part]]:
    """The bookmarks by page. An outline that is damaged costs the headings, not the document."""
    found: dict[int, list[Part]] = {}
    try:
        for heading in _outline(reader, reader.outline, 1):
            found.setdefault(heading.page, []).append(heading)
    except (error, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as exc:
        log.info("the outline is damaged: %s", _said(exc))
    return found


def _outline(reader: Any, entries: Any, level: int) -> Iterator[Part]:
    """Deeper bookmarks are nested lists."""
    for entry in entries:
        if isinstance(entry, list):
            yield from _outline(reader, entry, min(level + 1, 6))
        elif (page := reader.get_destination_page_number(entry)) is not None:
            yield Part(text=str(entry.title), level=level, page=page + 1)


def _said(exc: BaseException) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__
