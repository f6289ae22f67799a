"""Word files, by python-docx: paragraphs and table rows in their order, headings by their style. Runs in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.apps.assistant.documents.limits import check_archive, check_text
from edgekit.apps.assistant.documents.text import Part, Text, assembled
from edgekit.core.errors import InputError
from edgekit.core.optional import need

_STYLE = re.compile(r"Heading (?P<level>[1-9])|Title")


def read(path: Path) -> Text:
    """Offsets count characters of the extracted text. Raises `InputError` for what is no Word file, or a zip bomb."""
    check_archive(path)
    docx = need("docx")
    try:
        document = docx.Document(str(path))
        parts = list(_parts(document))
        title = str(document.core_properties.title or "")
    except Exception as exc:  # lxml, zipfile and python-docx each raise errors of their own for damaged files
        raise InputError(f"{path.name!r} is no readable Word file: {' '.join(str(exc).split())}", "save it again") from exc
    check_text(path, "".join(part.text for part in parts))
    return assembled(parts, title)


def _parts(document: Any) -> Iterator[Part]:
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            yield from (Part(text=" | ".join(_cells(row))) for row in block.rows)
        else:
            yield Part(text=block.text, level=_level(block))


def _cells(row: Any) -> list[str]:
    """The texts of a row; a cell that was merged over several columns once."""
    seen: dict[int, str] = {}
    for cell in row.cells:
        seen.setdefault(id(cell._tc), " ".join(cell.text.split()))
    return [text for text in seen.values() if text]


def _level(paragraph: Any) -> int:
    style = _STYLE.fullmatch(paragraph.style.name if paragraph.style is not None else "")
    return int(style["level"] or 1) if style else 0
