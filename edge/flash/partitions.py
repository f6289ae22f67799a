"""The partition table of a disk image: MBR with its logical partitions, or GPT behind a protective MBR (UEFI specification 2.10, section 5)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgekit.core.errors import InputError

SECTOR = 512
_FAT_TYPES = (0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E, 0xEF)
_PROTECTIVE, _LINUX = 0xEE, 0x83
_EXTENDED = (0x05, 0x0F, 0x85)
_LOGICAL_LIMIT = 60
_LARGE_SECTOR = 4096
_GPT_ENTRIES_LIMIT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Where a partition lies, in bytes, and what its first sectors hold: `fat`, `ext4` or `other`. Numbers start at 1."""

    number: int
    start: int
    bytes: int
    name: str
    holds: str


def partitions(path: Path) -> tuple[Partition, ...]:
    """The partitions of the image or device at `path`. Raises `InputError` where there is no table or it points outside."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        first = file.read(SECTOR)
        if len(first) < SECTOR or first[510:] != b"\x55\xaa":
            raise InputError(f"{str(path)!r} holds no partition table", "is it the image of a whole disk, for a board?")
        kinds = [entry[4] for entry in _entries(first)]
        found = _gpt(file.read(SECTOR), path) if _PROTECTIVE in kinds else [*_mbr(first), *_logical(file, first)]
    inside = [one for one in found if one.bytes > 0]
    for one in inside:
        if one.start < SECTOR or one.start + one.bytes > size:
            raise InputError(
                f"partition {one.number} of {str(path)!r} ends at byte {one.start + one.bytes}, the image at {size}",
                "the image is cut off: download it again",
            )
    return tuple(inside)


def boot_partition(path: Path) -> Partition:
    """The first FAT partition, which boards boot from. Raises `InputError` when there is none."""
    found = next((one for one in partitions(path) if one.holds == "fat"), None)
    if found is None:
        raise InputError(f"{str(path)!r} has no FAT partition to boot from", "is it an image for this board?")
    return found


def named_partition(path: Path, name: str) -> Partition:
    """The GPT partition called `name` (Jetson's root file system is `APP`). Raises `InputError` when there is none."""
    found = next((one for one in partitions(path) if one.name == name), None)
    if found is None:
        raise InputError(f"{str(path)!r} has no partition called {name!r}", "is it an image for this board?")
    return found


def _entries(sector: bytes) -> list[bytes]:
    """The four entries of a partition table in a sector."""
    return [sector[446 + 16 * slot : 462 + 16 * slot] for slot in range(4)]


def _mbr(sector: bytes) -> list[Partition]:
    return [_mbr_entry(number, entry, 0) for number, entry in enumerate(_entries(sector), 1)]


def _mbr_entry(number: int, entry: bytes, base: int) -> Partition:
    """The partition of an entry whose first sector is counted from `base`."""
    start, count = struct.unpack("<II", entry[8:16])
    holds = "fat" if entry[4] in _FAT_TYPES else "ext4" if entry[4] == _LINUX else "other"
    return Partition(number=number, start=(base + start) * SECTOR, bytes=count * SECTOR, name="", holds=holds)


def _logical(file: IO[bytes], first: bytes) -> Iterator[Partition]:
    """The partitions within the extended one: each has a table of its own before it, which says where the next table is."""
    outer = next((entry for entry in _entries(first) if entry[4] in _EXTENDED), None)
    if outer is None:
        return
    base = at = struct.unpack("<I", outer[8:12])[0]
    for number in range(5, 5 + _LOGICAL_LIMIT):
        file.seek(at * SECTOR)
        table = file.read(SECTOR)
        if len(table) < SECTOR or table[510:] != b"\x55\xaa":
            return
        own, other, *_ = _entries(table)
        yield _mbr_entry(number, own, at)
        ahead = base + struct.unpack("<I", other[8:12])[0]
        if other[4] not in _EXTENDED or ahead <= at:  # the last one, or a ring
            return
        at = ahead


_GPT_KINDS = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "fat",  # EFI system
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "fat",  # basic data
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "ext4",  # Linux file system
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "ext4",  # Linux root, 64-bit ARM
}


def _gpt(header: bytes, path: Path) -> list[Partition]:
    if header[:8] != b"EFI PART":
        with path.open("rb") as file:
            file.seek(_LARGE_SECTOR)
            if file.read(8) == b"EFI PART":
                raise InputError(
                    f"{str(path)!r} is the image of a disk with sectors of {_LARGE_SECTOR} bytes, cards have {SECTOR}",
                    "an image for cards: those for UFS storage are another",
                )
        raise InputError(f"{str(path)!r} announces a GPT and has none", "the image is damaged: download it again")
    first, count, size = struct.unpack("<QII", header[72:88])
    if not (128 <= size <= 4096 and count <= _GPT_ENTRIES_LIMIT):
        raise InputError(f"{str(path)!r} has a GPT of {count} entries of {size} bytes, which cannot be right")
    with path.open("rb") as file:
        file.seek(first * SECTOR)
        table = file.read(count * size)
    entries = [table[at : at + size] for at in range(0, len(table) - size + 1, size)]
    return [_gpt_entry(number, entry) for number, entry in enumerate(entries, 1) if any(entry[:16])]


def _gpt_entry(number: int, entry: bytes) -> Partition:
    first, last = struct.unpack("<QQ", entry[32:48])
    kind = str(uuid.UUID(bytes_le=entry[:16]))
    name = entry[56:128].decode("utf-16-le", errors="replace").rstrip("\0")
    length = max(last - first + 1, 0) * SECTOR
    return Partition(number=number, start=first * SECTOR, bytes=length, name=name, holds=_GPT_KINDS.get(kind, "other"))
