"""What a document may be at most. A folder of documents is somebody else's: files in it may be made to hurt."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TypeVar
from zipfile import BadZipFile, ZipFile

from edgekit.core.errors import InputError

FILE_BYTES = 64 << 20
TEXT_CHARACTERS = 20_000_000
BLOCKS = 500_000
PAGES = 5_000
UNPACKED_BYTES = 256 << 20
MEMORY_BYTES = 2 << 30
"""Address space of the process that reads documents."""
READING_S = 120.0
"""The longest that reading one document may take."""
_OLD = bytes.fromhex("d0cf11e0a1b11ae1")
"""How the files of Word before 2007 begin, and those that Word encrypted."""
T = TypeVar("T")


def check_size(path: Path, size: int) -> None:
    """Raise `InputError` for a file that is larger than is read into memory, before a byte of it is read."""
    if size > FILE_BYTES:
        raise InputError(f"{path.name!r} has {size:,} bytes; {FILE_BYTES:,} are read at most", "split it, or leave it out")


def check_characters(path: Path, count: int) -> None:
    """Raise `InputError` for a text that is longer than any document."""
    if count > TEXT_CHARACTERS:
        raise InputError(f"{path.name!r} has {count:,} characters and more; {TEXT_CHARACTERS:,} are read at most", "split it")


def bounded(path: Path, blocks: Iterable[T]) -> tuple[T, ...]:
    """The blocks of a text. Raises `InputError` as soon as there are more than any document has."""
    found = tuple(islice(blocks, BLOCKS + 1))
    if len(found) > BLOCKS:
        raise InputError(f"{path.name!r} has more than {BLOCKS:,} paragraphs, which is the most that are read", "split it")
    return found


def check_archive(path: Path) -> None:
    """Raise `InputError` for a zip archive that is damaged, encrypted, or unpacks to more than is sensible: a zip bomb."""
    with path.open("rb") as file:
        if file.read(len(_OLD)) == _OLD:
            raise InputError(f"{path.name!r} is encrypted, or of a Word before 2007", "save it as docx without a password")
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except (BadZipFile, OSError, ValueError) as exc:
        raise InputError(f"{path.name!r} is no readable archive: {exc}", "is the file complete?") from exc
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > UNPACKED_BYTES:
        raise InputError(
            f"{path.name!r} unpacks to {unpacked:,} bytes, {UNPACKED_BYTES:,} at most: a zip bomb", "leave it out of the folder"
        )
    if any(entry.flag_bits & 1 for entry in entries):
        raise InputError(f"{path.name!r} is encrypted", "save it without a password")
