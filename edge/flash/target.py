"""What an image is written to: a file that becomes `card.img` when all is well, or a drive that was looked at twice."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgekit.core.errors import DeviceError, InputError
from edgekit.core.files import ensure_free, said_plainly
from edgekit.core.interrupts import uninterrupted
from edgekit.flash.drives import Drive
from edgekit.flash.image import CHUNK_BYTES


class Medium:
    """A file or drive that is open for writing, past the page cache where the system allows it."""

    def __init__(self, path: Path, descriptor: int, *, sparse: bool) -> None:
        self.path = path
        self.sparse = sparse
        """Whether what is never written reads as zeros."""
        self._descriptor = descriptor
        self._buffer = mmap.mmap(-1, CHUNK_BYTES)  # page-aligned, as direct I/O wants it
        self._direct = _set_direct(descriptor, True)

    def write(self, data: bytes, offset: int) -> None:
        """Write `data` at `offset`. Raises `DeviceError` when the medium fails or vanishes."""
        self._buffer[: len(data)] = data
        view, done = memoryview(self._buffer)[: len(data)], 0
        while done < len(data):
            try:
                done += os.pwrite(self._descriptor, view[done:], offset + done)
            except OSError as exc:
                self._give_up_direct(exc, f"writing {str(self.path)!r} at byte {offset + done}")

    def read(self, size: int, offset: int) -> bytes:
        """`size` bytes at `offset`, fewer at the end. Raises `DeviceError`."""
        while True:
            try:
                got = os.preadv(self._descriptor, [memoryview(self._buffer)[:size]], offset)
                return self._buffer[:got]
            except OSError as exc:
                self._give_up_direct(exc, f"reading {str(self.path)!r} at byte {offset}")

    def _give_up_direct(self, exc: OSError, doing: str) -> None:
        """Go on through the page cache where direct I/O is refused (of this size, or on this file system); raise for all else."""
        if exc.errno != errno.EINVAL or not self._direct:
            raise DeviceError(f"{doing} failed: {exc.strerror}", "is it still there?") from exc
        self._direct = not _set_direct(self._descriptor, False)

    def flush(self) -> None:
        """Wait until everything is on the medium, and forget what is cached of it. Raises `DeviceError`."""
        try:
            os.fsync(self._descriptor)
        except OSError as exc:
            raise DeviceError(f"{str(self.path)!r} did not take what was written: {exc.strerror}", "try another card") from exc
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def set_size(self, size: int) -> None:
        """Make a file exactly `size` bytes long; drives have the size they have."""
        if self.sparse:
            os.ftruncate(self._descriptor, size)


@contextmanager
def new_file(path: Path, *, replace: bool) -> Iterator[Medium]:
    """A file beside `path` that takes its name when the block ends well and vanishes when it does not."""
    ensure_free(path, replace=replace)
    partial = path.with_name(f".{path.name}.partial")
    with ExitStack() as undo:
        with said_plainly(path), uninterrupted():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            undo.callback(partial.unlink, missing_ok=True)
            undo.callback(os.close, descriptor)
        yield Medium(partial, descriptor, sparse=True)
        os.fsync(descriptor)
        partial.replace(path)


@contextmanager
def open_drive(drive: Drive) -> Iterator[Medium]:
    """The drive, taken for this process alone. Raises `DeviceError` when it is busy or another one than was looked at."""
    try:
        descriptor = os.open(drive.path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as exc:
        raise DeviceError(
            f"{str(drive.path)!r} cannot be written: {exc.strerror}", "is it mounted, or do you need sudo?"
        ) from exc
    try:
        _ensure_same(descriptor, drive)
        yield Medium(drive.path, descriptor, sparse=False)
    finally:
        os.close(descriptor)


def _ensure_same(descriptor: int, drive: Drive) -> None:
    """Between looking and opening, a stick can be pulled and another get its name."""
    found = os.fstat(descriptor)
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if not stat.S_ISBLK(found.st_mode) or number != drive.number or size != drive.bytes:
        raise InputError(f"{str(drive.path)!r} is not the drive that was looked at", "look again: edgekit flash --drives")


def _set_direct(descriptor: int, on: bool) -> bool:
    """Switch direct I/O on or off; whether it is as asked."""
    direct = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | direct if on else flags & ~direct)
    except OSError:
        return False
    return bool(direct) or not on
