"""One door to all readers: the file's ending says which."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from edgekit.apps.assistant.documents.confined import Reader, reading
from edgekit.apps.assistant.documents.limits import check_size
from edgekit.apps.assistant.documents.text import Text
from edgekit.core.errors import InputError, NotFound

READERS: Mapping[str, str] = {
    ".txt": "plain",
    ".text": "plain",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
}
"""The module that reads each kind."""


def read(path: Path, reader: Reader | None = None) -> Text:
    """The document's text. Raises `InputError` for what cannot or must not be read, with the file's name and the reason.

    Who reads many hands in the `reader`; without one its process is started for this document alone.
    """
    kind = READERS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path.name!r} is of a kind that is not read", f"these are: {' '.join(sorted(READERS))}")
    try:
        found = path.stat()
    except FileNotFoundError as exc:
        raise NotFound(f"{path.name!r} is gone") from exc
    except OSError as exc:
        raise InputError(f"{path.name!r} cannot be read: {exc.strerror or exc}") from exc
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path.name!r} is no regular file", "leave it out of the folder")
    check_size(path, found.st_size)
    if reader is not None:
        return reader.read(path, kind)
    with reading() as alone:
        return alone.read(path, kind)
