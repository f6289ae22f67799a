"""The documents in a folder, and what in it is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.apps.assistant.documents.limits import FILE_BYTES
from edgekit.apps.assistant.documents.read import READERS
from edgekit.apps.assistant.documents.text import storable
from edgekit.core.errors import NotFound

DOCUMENTS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A document: its `path` below the folder, with slashes, and what tells quickly whether it changed."""

    path: str
    bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that is not read, and why."""

    path: str
    reason: str


def look(folder: Path) -> tuple[tuple[Found, ...], tuple[Refused, ...]]:
    """Documents below `folder`, and those of its files that are refused, by path. Hidden files and other kinds are passed over.

    Links are followed to files inside the folder only. Raises `NotFound` when there is no such folder.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {str(folder)!r}", "which folder holds the documents?")
    root = folder.resolve()
    entries = [_judged(root, path) for path in _files(root)]
    found = sorted((one for one in entries if isinstance(one, Found)), key=lambda one: one.path)
    refused = [one for one in entries if isinstance(one, Refused)]
    refused += [Refused(path=one.path, reason=f"{DOCUMENTS:,} documents are read at most") for one in found[DOCUMENTS:]]
    return tuple(found[:DOCUMENTS]), tuple(sorted(refused, key=lambda one: one.path))


def _files(root: Path) -> Iterator[Path]:
    for folder, inside, names in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        kept = (name for name in names if not name.startswith(".") and Path(name).suffix.lower() in READERS)
        yield from (Path(folder) / name for name in kept)


def _judged(root: Path, path: Path) -> Found | Refused:
    name = path.relative_to(root).as_posix()
    if (plain := storable(name)) != name:
        return Refused(path=plain, reason="its name is not in UTF-8")
    try:
        target = path.resolve(strict=True)
        found = target.stat()
    except (OSError, RuntimeError) as exc:
        return Refused(path=name, reason=f"it cannot be opened: {getattr(exc, 'strerror', None) or exc}")
    if not target.is_relative_to(root):
        return Refused(path=name, reason="it is a link to a file outside the folder")
    if not target.is_file():
        return Refused(path=name, reason="it is no regular file")
    if found.st_size > FILE_BYTES:
        return Refused(path=name, reason=f"it has {found.st_size:,} bytes; {FILE_BYTES:,} are read at most")
    return Found(path=name, bytes=found.st_size, modified_ns=found.st_mtime_ns)
