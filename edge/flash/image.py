"""Disk images as they are published: raw, .xz, .gz, .zst or .zip, decompressed as a stream, both sides hashed on the way."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, Literal, cast

from edgekit.core.errors import InputError, MissingDependency, NotFound
from edgekit.core.optional import need

CHUNK_BYTES = 4 << 20
Packing = Literal["raw", "xz", "gz", "zst", "zip"]
_MAGIC: tuple[tuple[bytes, Packing], ...] = (
    (b"\xfd7zXZ\0", "xz"),
    (b"\x1f\x8b", "gz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"PK\x03\x04", "zip"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image file that was looked at: how it is packed (by its first bytes, not its name) and how large the file is."""

    path: Path
    packing: Packing
    bytes: int


class ImageStream:
    """The disk's bytes in chunks. `file_sha256` is that of the published file, and is known once everything was read."""

    def __init__(self, image: Image, file: _Hashed, plain: IO[bytes]) -> None:
        self.image = image
        self._file = file
        self._plain = plain

    @property
    def file_bytes_read(self) -> int:
        """How far into the published file the stream is, for progress."""
        return self._file.bytes_read

    def __iter__(self) -> Iterator[bytes]:
        """Chunks of `CHUNK_BYTES`, the last one shorter. Raises `InputError` where the file is damaged or cut off."""
        while True:
            try:
                chunk = _full(self._plain)
            except _damage() as exc:
                at = f"after {self._file.bytes_read} of its {self.image.bytes} bytes"
                raise InputError(f"{str(self.image.path)!r} is damaged or cut off: {exc} ({at})", "download it again") from exc
            if not chunk:
                return
            yield chunk

    def file_sha256(self) -> str:
        """The hex SHA-256 of the published file, its unread rest included."""
        return self._file.whole_sha256()


def look_at(path: Path) -> Image:
    """What kind of image file `path` is. Raises `NotFound` and `InputError`."""
    if not path.is_file():
        raise NotFound(f"no image at {str(path)!r}", "download one from the board's maker")
    with path.open("rb") as file:
        start = file.read(6)
    packing: Packing = next((packing for magic, packing in _MAGIC if start.startswith(magic)), "raw")
    size = path.stat().st_size
    if packing == "raw" and (size < 512 or size % 512):
        raise InputError(
            f"{str(path)!r} is no disk image: it has {size} bytes, not a number of 512-byte sectors", "is it cut off?"
        )
    return Image(path=path, packing=packing, bytes=size)


@contextmanager
def opened(image: Image) -> Iterator[ImageStream]:
    """The image's bytes, unpacked while they are read. Raises `InputError` for an archive without exactly one image in it."""
    with ExitStack() as stack:
        hashed = _Hashed(stack.enter_context(image.path.open("rb")))
        plain = stack.enter_context(_unpacked(image, hashed))
        yield ImageStream(image, hashed, plain)


class _Hashed(RawIOBase):
    """A file that is read from start to end and hashed on the way; a zip's reader may also seek, then it is hashed at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._hashed_to = 0
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        start = self._file.tell()
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        if start == self._hashed_to:
            self._digest.update(data)
            self._hashed_to += len(data)
        self.bytes_read = max(self.bytes_read, start + len(data))
        return len(data)

    def whole_sha256(self) -> str:
        self._file.seek(self._hashed_to)
        while data := self._file.read(CHUNK_BYTES):
            self._digest.update(data)
            self._hashed_to += len(data)
        return self._digest.hexdigest()


def _unpacked(image: Image, file: _Hashed) -> IO[bytes]:
    if image.packing == "xz":
        return cast(IO[bytes], lzma.LZMAFile(cast(IO[bytes], file)))
    if image.packing == "gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=cast(IO[bytes], file)))
    if image.packing == "zst":
        return cast(IO[bytes], _Zst(file))
    if image.packing == "zip":
        return _only_member(image.path, file)
    return cast(IO[bytes], file)


class _Zst(RawIOBase):
    """Frames of Zstandard, one after the other. The package's own reader takes a file that breaks off for one that ends."""

    def __init__(self, file: _Hashed) -> None:
        self._file = file
        self._package = need("zstandard")
        self._frame: Any = None
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            packed = self._unused() or self._file.read(1 << 16)
            if not packed:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("the last frame is not complete")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._package.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
            self._rest = self._frame.decompress(packed)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def _unused(self) -> bytes:
        """What was read behind the end of a frame."""
        return self._frame.unused_data if self._frame is not None and self._frame.eof else b""


def _only_member(path: Path, file: _Hashed) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(cast(IO[bytes], file))
    except zipfile.BadZipFile as exc:
        raise InputError(f"{str(path)!r} is a damaged archive: {exc}", "download it again") from exc
    images = [entry for entry in archive.infolist() if entry.filename.lower().endswith((".img", ".raw", ".wic"))]
    if len(images) != 1:
        names = ", ".join(entry.filename for entry in archive.infolist()[:5])
        raise InputError(f"{str(path)!r} holds {len(images)} disk images, not one: {names}", "unpack it and pass the image")
    if images[0].flag_bits & 1:
        raise InputError(f"the image in {str(path)!r} is encrypted", "unpack it and pass the image")
    return archive.open(images[0])


def _full(file: IO[bytes]) -> bytes:
    """A whole chunk where there is one: decompressors like to return less."""
    pieces: list[bytes] = []
    missing = CHUNK_BYTES
    while missing and (piece := file.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _damage() -> tuple[type[Exception], ...]:
    """What the decompressors raise at damaged data."""
    known: tuple[type[Exception], ...] = (lzma.LZMAError, EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)
    try:
        return (*known, need("zstandard").ZstdError)
    except MissingDependency:
        return known
