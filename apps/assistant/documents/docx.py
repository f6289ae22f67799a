"""Word files, by python-docx: paragraphs and table rows in their order, headings by their style. Runs in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgekit.apps.assistant.documents.limits import bounded, check_archive, check_characters
from edgekit.apps.assistant.documents.text import Part, Text, assembled
from edgekit.core.errors import InputError
from edgekit.core.optional import need

_STYLE = re.compile(r"Heading (?P<level>[1-9])|Title")
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARAGRAPH, _TABLE, _ROW, _CELL, _LETTERS = (f"{_WORD}{name}" for name in ("p", "tbl", "tr", "tc", "t"))
_WRAPPERS = frozenset(f"{_WORD}{name}" for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo"))
"""What only stands around others: fields of forms, and what was inserted while changes were tracked."""
_PASSED_OVER = frozenset(
    [f"{_WORD}moveFrom", f"{_WORD}pPr", f"{_WORD}rPr", "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"]
)
"""What stands elsewhere as well. Deleted text has an element of its own, and is not looked for."""
_SIGNS: Mapping[str, str] = {
    f"{_WORD}{name}": sign for name, sign in (("tab", "\t"), ("br", "\n"), ("cr", "\n"), ("noBreakHyphen", "-"))
}


def read(path: Path) -> Text:
    """Offsets count characters of the extracted text. Raises `InputError` for what is no Word file, or a zip bomb."""
    check_archive(path)
    docx = need("docx")
    try:
        document = docx.Document(str(path))
        levels = {style.style_id: _level(style.name or "") for style in document.styles}
        parts = bounded(path, _parts(document.element.body, levels))
        title = str(document.core_properties.title or "")
    except (InputError, MemoryError):
        raise
    except Exception as exc:  # lxml, zipfile and python-docx each raise errors of their own for damaged files
        raise InputError(f"{path.name!r} is no readable Word file: {' '.join(str(exc).split())}", "save it again") from exc
    check_characters(path, sum(len(part.text) for part in parts))
    return assembled(parts, title)


def _parts(parent: Any, levels: Mapping[str, int]) -> Iterator[Part]:
    for block in _inside(parent, _PARAGRAPH, _TABLE):
        if block.tag == _PARAGRAPH:
            yield Part(text="".join(_said(block)), level=levels.get(block.style or "", 0))
        else:
            yield from _rows(block, levels)


def _rows(table: Any, levels: Mapping[str, int]) -> Iterator[Part]:
    """A row is a part; one of a single cell is a frame, and what stands in it is read as if it stood alone."""
    for row in _inside(table, _ROW):
        cells = list(_inside(row, _CELL))
        if len(cells) == 1:
            yield from _parts(cells[0], levels)
        else:
            texts = (" ".join("".join(_said(cell)).split()) for cell in cells)
            yield Part(text=" | ".join(text for text in texts if text))


def _inside(parent: Any, *tags: str) -> Iterator[Any]:
    """The children of these kinds, also where something only stands around them."""
    for child in parent:
        if child.tag in tags:
            yield child
        elif child.tag in _WRAPPERS:
            yield from _inside(child, *tags)


def _said(element: Any) -> Iterator[str]:
    """The letters in an element, those of boxes and of tables in it as well."""
    for child in element:
        if child.tag == _LETTERS:
            yield child.text or ""
        elif child.tag in _SIGNS:
            yield _SIGNS[child.tag]
        elif child.tag not in _PASSED_OVER:
            yield from _said(child)
            if child.tag == _PARAGRAPH:
                yield "\n"


def _level(style: str) -> int:
    found = _STYLE.fullmatch(style)
    return int(found["level"] or 1) if found else 0
