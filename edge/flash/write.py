"""An image written to a medium and read back: nothing counts as written that was not read again.

The first megabyte, with the partition table, is written last, when everything behind it has been read back. Until then the medium
starts with zeros: a board does not boot from half an image, and a person sees that it is none.
"""

from __future__ import annotations

import hashlib
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edgekit.core.errors import DeviceError, EdgekitError, InputError
from edgekit.core.progress import Event, Progress
from edgekit.flash.bmap import Bmap, Mapping
from edgekit.flash.image import CHUNK_BYTES, ImageStream
from edgekit.flash.target import Medium

HEAD_BYTES = 1 << 20
_ZEROS = bytes(CHUNK_BYTES)
_AHEAD = 3
"""Chunks that are unpacked while others are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What is on the medium: `bytes` of the image, their hash, and the hash of the file they were published in."""

    bytes: int
    sha256: str
    file_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Published hashes; empty: not known. They are compared before the medium becomes bootable."""

    file_sha256: str = ""
    sha256: str = ""


def write(
    stream: ImageStream, medium: Medium, *, limit_bytes: int, expected: Expected, bmap: Bmap | None = None, progress: Progress
) -> Written:
    """Write all of `stream`, at most `limit_bytes`, read it back, then make it bootable. With a `bmap` only the blocks it lists.

    Raises `InputError` for an image that is damaged, too large or not the published one, `DeviceError` for a medium that fails or
    gives back other bytes. What is on the medium then is said in the error, and does not boot.
    """
    with leaving(f"{medium.path} holds part of the image and does not boot: write it again, or format it", medium):
        head, written = _body(stream, medium, limit_bytes, bmap, progress)
        _ensure_expected(written, expected)
        medium.flush()
        if bmap is None:
            _ensure_same(medium, head, written, progress)
        else:
            _ensure_ranges(medium, head, bmap, progress)
        medium.write(head, 0)
        medium.set_size(written.bytes)
        medium.flush()
        if medium.read(len(head), 0) != head:
            raise DeviceError(f"{str(medium.path)!r} does not keep its first megabyte", "try another card")
    return written


@contextmanager
def leaving(state: str, medium: Medium) -> Iterator[None]:
    """What ends the block early, a person who stops it too, says in which state it leaves the medium; a file is not left at all."""
    left = "nothing was left behind" if medium.sparse else state
    try:
        yield
    except EdgekitError as exc:
        raise type(exc)(exc.message, f"{exc.hint}; {left}" if exc.hint else left) from exc
    except KeyboardInterrupt as exc:
        raise KeyboardInterrupt(left) from exc


def _body(
    stream: ImageStream, medium: Medium, limit_bytes: int, bmap: Bmap | None, progress: Progress
) -> tuple[bytes, Written]:
    """Everything but the head, which is handed back; zeros stand in its place."""
    digest, size, head = hashlib.sha256(), 0, b""
    mapping = Mapping(bmap) if bmap is not None else None
    for chunk in _ahead(stream):
        if size + len(chunk) > limit_bytes:
            raise InputError(f"the image has more than the {limit_bytes} bytes there is room for", "use a larger card")
        digest.update(chunk)
        pieces = [(size, chunk)] if mapping is None else list(mapping.pieces(chunk, size))
        if size == 0:
            head, chunk = chunk[:HEAD_BYTES], bytes(min(HEAD_BYTES, len(chunk))) + chunk[HEAD_BYTES:]
            pieces = [(0, chunk[:HEAD_BYTES]), *((start, chunk[start : start + len(piece)]) for start, piece in pieces)]
        for start, piece in pieces:
            if not (medium.sparse and piece == _ZEROS[: len(piece)]):
                medium.write(piece, start)
        size += len(chunk)
        progress(Event(stage="write", done=stream.file_bytes_read >> 20, total=max(stream.image.bytes >> 20, 1)))
    if size < HEAD_BYTES or size % 512:
        raise InputError(f"the image has {size} bytes, which no disk for a board has", "is it cut off, or another file?")
    if mapping is not None and bmap is not None:
        mapping.ensure_done()
        if bmap.image_bytes != size:
            raise InputError(f"the image has {size} bytes, its block map says {bmap.image_bytes}", "is it this image's map?")
    medium.set_size(size)
    return head, Written(bytes=size, sha256=digest.hexdigest(), file_sha256=stream.file_sha256())


def _ahead(stream: ImageStream) -> Iterator[bytes]:
    """The chunks, unpacked by another thread while the last ones are hashed and written."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def unpack() -> None:
        try:
            for chunk in stream:
                put(chunk)
                if stop.is_set():
                    return
            put(None)
        except BaseException as exc:  # handed over to the thread that waits, whatever it is
            put(exc)

    worker = threading.Thread(target=unpack, name="unpack", daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        worker.join()


def ensure_hash(text: str) -> None:
    """Raise `InputError` for what no SHA-256 can be, before an image is written for nothing; empty: it is not known."""
    if text and not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise InputError(
            f"{text[:70]!r} is no sha256: that has 64 hex digits, this has {len(text)} signs",
            "its maker publishes it beside the image, often as IMAGE.sha256",
        )


def _ensure_expected(written: Written, expected: Expected) -> None:
    for what, found, wanted in (
        ("the image file", written.file_sha256, expected.file_sha256),
        ("the unpacked image", written.sha256, expected.sha256),
    ):
        if wanted and found != wanted.lower():
            raise InputError(f"{what} has sha256 {found}, not {wanted.lower()}", "download it again; do not use this one")


def _ensure_same(medium: Medium, head: bytes, written: Written, progress: Progress) -> None:
    digest = hashlib.sha256(head)
    for offset in range(0, written.bytes, CHUNK_BYTES):
        data = medium.read(min(CHUNK_BYTES, written.bytes - offset), offset)
        digest.update(data[len(head) :] if offset == 0 else data)
        progress(Event(stage="read back", done=(offset + len(data)) >> 20, total=max(written.bytes >> 20, 1)))
    if digest.hexdigest() != written.sha256:
        raise DeviceError(
            f"{str(medium.path)!r} gives back other bytes than were written to it", "the card is worn out or fake"
        )


def _ensure_ranges(medium: Medium, head: bytes, bmap: Bmap, progress: Progress) -> None:
    """Read back what the block map lists, and nothing else: behind the rest may lie what was on the medium before."""
    done = 0
    for one in bmap.ranges:
        digest = hashlib.sha256()
        for offset in range(one.start, one.end, CHUNK_BYTES):
            data = medium.read(min(CHUNK_BYTES, one.end - offset), offset)
            known = head[offset : offset + len(data)]
            digest.update(known + data[len(known) :])
            done += len(data)
            progress(Event(stage="read back", done=done >> 20, total=max(bmap.mapped_bytes >> 20, 1)))
        if digest.hexdigest() != one.sha256:
            raise DeviceError(
                f"{str(medium.path)!r} gives back other bytes than were written to it", "the card is worn out or fake"
            )
