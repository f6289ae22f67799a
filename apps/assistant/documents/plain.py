"""Text files: paragraphs between blank lines, in whatever encoding they are."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from edgekit.apps.assistant.documents.limits import bounded, check_characters
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
    blocks = (Block(start=found.start(), end=found.end()) for found in PARAGRAPH.finditer(text))
    return Text(text=text, blocks=bounded(path, blocks))


def decoded(path: Path, data: bytes, declared: str = "") -> str:
    """The characters: by the byte order mark, else UTF-8, else as the document itself says, else Windows-1252.

    Raises `InputError` for what is no text.
    """
    check_characters(path, len(data) // 4)  # more bytes than that make no character
    text = _decoded(data, declared)
    if "\0" in text:
        raise InputError(f"{path.name!r} is no text: it holds zero bytes", "is its ending right?")
    check_characters(path, len(text))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes, declared: str) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
    if encoding != "utf-8" or _is_mostly_right(text):
        return text
    return data.decode(declared or "cp1252", errors="replace")


def _is_mostly_right(text: str) -> bool:
    """Whether a text with broken characters is UTF-8 all the same, cut or damaged somewhere: others hardly ever look like it."""
    broken = text.count("\ufffd")
    return sum(sign > "\x7f" for sign in text) > 2 * broken
