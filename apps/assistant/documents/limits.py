"""What a document may be at most. A folder of documents is somebody else's: files in it may be made to hurt."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from edgekit.core.errors import InputError

FILE_BYTES = 64 << 20
TEXT_CHARACTERS = 20_000_000
PAGES = 5_000
UNPACKED_BYTES = 256 << 20
MEMORY_BYTES = 2 << 30
"""Address space of the process that reads PDF and Word files."""
READING_S = 120.0


def check_size(path: Path, size: int) -> None:
    """Raise `InputError` for a file that is larger than is read into memory, before a byte of it is read."""
    if size > FILE_BYTES:
        raise InputError(f"{path.name!r} has {size:,} bytes; {FILE_BYTES:,} are read at most", "split it, or leave it out")


def check_text(path: Path, text: str) -> str:
    """The text. Raises `InputError` for one that is longer than any document."""
    if len(text) > TEXT_CHARACTERS:
        raise InputError(f"{path.name!r} has {len(text):,} characters; {TEXT_CHARACTERS:,} are read at most", "split it")
    return text


def check_archive(path: Path) -> None:
    """Raise `InputError` for a zip archive that is damaged, encrypted, or unpacks to more than is sensible: a zip bomb."""
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
