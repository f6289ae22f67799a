"""MNIST's idx files, packed or not, read as a stream.

Format: two zero bytes, the type (8 = unsigned byte), the number of axes, each axis as a big-endian 32-bit number, then the
values (http://yann.lecun.com/exdb/mnist, "THE IDX FILE FORMAT").
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError

UNSIGNED_BYTE = 8
PIXELS_LIMIT = 16_000_000
BYTES_LIMIT = 8 << 30
"""Larger sizes are taken for damage: reading, and so unpacking, always stops at the size the header promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxFile:
    """An idx file whose header has been read and whose length has been checked to be what the header promises."""

    path: Path
    shape: tuple[int, ...]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """The entries along the first axis, each uint8 of the remaining shape; one in memory at a time."""
        size = prod(self.shape[1:])
        with _opened(self.path) as file:
            _read(file, self.path, 4 + 4 * len(self.shape))
            for _ in range(self.shape[0]):
                yield np.frombuffer(_read(file, self.path, size), np.uint8).reshape(self.shape[1:])


def open_idx(path: Path, axes: int) -> IdxFile:
    """The idx file of `axes` axes at `path`, gone through once. Raises `InputError` when it is damaged or another kind."""
    with _opened(path) as file:
        magic = _read(file, path, 4)
        if magic != bytes((0, 0, UNSIGNED_BYTE, axes)):
            wanted = f"00 00 {UNSIGNED_BYTE:02x} {axes:02x}"
            raise InputError(f"{str(path)!r} starts with {magic.hex(' ')}, an idx file of {axes} axes with {wanted}")
        shape = tuple(int(size) for size in np.frombuffer(_read(file, path, 4 * axes), ">u4"))
        if prod(shape[1:]) > PIXELS_LIMIT or prod(shape) > BYTES_LIMIT:
            raise InputError(f"{str(path)!r} promises an array of {list(shape)} bytes: too large to be true", "is it damaged?")
        _go_through(file, path, prod(shape))
    return IdxFile(path=path, shape=shape)


def read_labels(path: Path) -> NDArray[np.int64]:
    """All labels of an idx1 file."""
    found = open_idx(path, axes=1)
    with _opened(path) as file:
        _read(file, path, 8)
        return np.frombuffer(_read(file, path, found.shape[0]), np.uint8).astype(np.int64)


def _go_through(file: BinaryIO, path: Path, size: int) -> None:
    left = size
    while left:
        left -= len(_read(file, path, min(left, 1 << 20)))
    if file.read(1):
        raise InputError(f"{str(path)!r} goes on after the {size} values its header promises", "is it damaged?")


def _read(file: BinaryIO, path: Path, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise InputError(f"{str(path)!r} ends too early: {size} more bytes were promised, {len(data)} came", "fetch it again")
    return data


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The unpacked bytes of `path`; what the unpacker complains about becomes an `InputError`."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (OSError, EOFError, zlib.error) as exc:
        raise InputError(f"{str(path)!r} does not unpack: {exc}", "fetch it again: is it whole?") from exc
