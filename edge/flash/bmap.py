"""A block map (`.bmap`, versions 1.3 to 2.0, as Yocto and bmap-tools make them): which blocks of an image hold anything, and their hashes.

Blocks that it does not list hold nothing that matters: they are neither written nor read back.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.errors import InputError, NotFound

LIMIT_BYTES = 16 << 20
_RANGE = re.compile(r"\s*(\d{1,12})(?:\s*-\s*(\d{1,12}))?\s*")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bytes `start` to `end` (exclusive) of the image, and their SHA-256."""

    start: int
    end: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bmap:
    """The image's size, and its mapped ranges in order."""

    image_bytes: int
    ranges: tuple[Range, ...]

    @property
    def mapped_bytes(self) -> int:
        return sum(one.end - one.start for one in self.ranges)


def read(path: Path) -> Bmap:
    """A block map. Raises `NotFound`, and `InputError` for what is none, or has no SHA-256 for every range."""
    if not path.is_file():
        raise NotFound(f"no block map at {str(path)!r}", "it is published beside the image, as IMAGE.bmap")
    if path.stat().st_size > LIMIT_BYTES:
        raise InputError(f"{str(path)!r} is larger than a block map can be ({LIMIT_BYTES} bytes)")
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise InputError(f"{str(path)!r} defines entities, which no block map does", "do not use this one")
    try:
        return _parsed(ET.fromstring(text))
    except (ET.ParseError, ValueError, TypeError) as exc:
        raise InputError(f"{str(path)!r} is no block map: {exc}", "download it again") from exc


def _parsed(root: ET.Element) -> Bmap:
    size, block = (int(_text(root, name)) for name in ("ImageSize", "BlockSize"))
    if root.tag != "bmap" or _text(root, "ChecksumType") != "sha256" or not 0 < block <= 1 << 20 or size <= 0:
        raise ValueError("it is not one with SHA-256 and a sensible block size")
    found = tuple(_range(entry, block, size) for entry in root.iterfind("./BlockMap/Range"))
    if not found or any(one.end > other.start for one, other in itertools.pairwise(found)):
        raise ValueError("its ranges are missing or overlap")
    return Bmap(image_bytes=size, ranges=found)


def _range(entry: ET.Element, block: int, size: int) -> Range:
    match, digest = _RANGE.fullmatch(entry.text or ""), entry.get("chksum", "")
    if match is None or not _HASH.fullmatch(digest):
        raise ValueError(f"the range {entry.text!r} is damaged or has no hash")
    first = int(match[1])
    start, end = first * block, min((int(match[2] or first) + 1) * block, size)
    if not 0 <= start < end:
        raise ValueError(f"the range {entry.text!r} lies outside the image")
    return Range(start=start, end=end, sha256=digest)


def _text(root: ET.Element, name: str) -> str:
    return (root.findtext(name) or "").strip()


class Mapping:
    """The mapped pieces of an image that goes by in chunks, each range's hash compared as it ends."""

    def __init__(self, bmap: Bmap) -> None:
        self._left = list(reversed(bmap.ranges))
        self._digest = hashlib.sha256()

    def pieces(self, chunk: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
        """What of the chunk at `offset` is mapped, with where it lies. Raises `InputError` for a range of another hash."""
        while self._left and self._left[-1].start < offset + len(chunk):
            here = self._left[-1]
            start, end = max(here.start, offset), min(here.end, offset + len(chunk))
            piece = chunk[start - offset : end - offset]
            self._digest.update(piece)
            yield start, piece
            if end < here.end:
                return
            self._finish(here)

    def ensure_done(self) -> None:
        """Raise `InputError` when the image ended before its map did."""
        if self._left:
            raise InputError(
                f"the image ends before byte {self._left[-1].end}, which its block map lists", "is it this image's map?"
            )

    def _finish(self, here: Range) -> None:
        if self._digest.hexdigest() != here.sha256:
            raise InputError(
                f"bytes {here.start} to {here.end} of the image are not those of its block map", "is it this image's map?"
            )
        self._digest = hashlib.sha256()
        self._left.pop()
