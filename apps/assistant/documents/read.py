"""One door to all readers: the file's ending says which."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from edgekit.apps.assistant.documents import confined, html, markdown, plain
from edgekit.apps.assistant.documents.limits import check_size
from edgekit.apps.assistant.documents.text import Text
from edgekit.core.errors import InputError, NotFound

READERS: Mapping[str, Callable[[Path], Text]] = {
    ".txt": plain.read,
    ".text": plain.read,
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".html": html.read,
    ".htm": html.read,
    ".pdf": partial(confined.read, kind="pdf"),
    ".docx": partial(confined.read, kind="docx"),
}


def read(path: Path) -> Text:
    """The document's text. Raises `InputError` for what cannot or must not be read, with the file's name and the reason."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path.name!r} is of a kind that is not read", f"these are: {' '.join(sorted(READERS))}")
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{path.name!r} is no regular file", "leave it out of the folder")
        check_size(path, found.st_size)
        return reader(path)
    except FileNotFoundError as exc:
        raise NotFound(f"{path.name!r} is gone") from exc
    except OSError as exc:
        raise InputError(f"{path.name!r} cannot be read: {exc.strerror or exc}") from exc
