"""Text files: paragraphs between blank lines, in whatever encoding they are."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from edgekit.apps.assistant.documents.limits import check_text
from edgekit.apps.assistant.documents.text import Block, Text
from edgekit.core.errors import InputError

PARAGRAPH = re.compile(r"\S(?:.*?\S)??(?=[ \t]*(?:\n[ \t]*){2,}|\s*\Z)", re.DOTALL)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read(path: Path) -> Text:
    """The file's text; offsets count its characters, line ends as newlines."""
    text = decoded(path, path.read_bytes())
    return Text(text=text, blocks=tuple(Block(start=found.start(), end=found.end()) for found in PARAGRAPH.finditer(text)))


def decoded(path: Path, data: bytes) -> str:
    """The characters: by the byte order mark, else UTF-8, else Windows-1252. Raises `InputError` for what is no text."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise InputError(f"{path.name!r} is no text: it holds zero bytes", "is its ending right?")
    return check_text(path, text.replace("\r\n", "\n").replace("\r", "\n"))
