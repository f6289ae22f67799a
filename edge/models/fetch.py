"""Fetching a large file: on from where it broke off, checked before it gets its name, and said how far it is."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit.core.errors import EdgekitError, InputError
from edgekit.core.files import said_plainly, sha256_file
from edgekit.core.gguf_file import read_header
from edgekit.core.locks import held
from edgekit.core.progress import Event, Progress, silent

TIMEOUT_S = 30.0
PIECE_BYTES = 1 << 18
TRIES = 5
"""In a row without a single byte more."""
PART = ".part"


def fetch(url: str, goal: Path, *, size: int | None = None, sha256: str = "", progress: Progress = silent) -> Path:
    """Bring the file at `url` to `goal`. What is there already with the right hash (or size, where no hash is known) is kept.

    A broken connection is taken up again, also by a later call: what came lies in `goal.part`. Raises `InputError` for a file that
    is not the one that was promised, or a web page or half a model where no promise was made; `EdgekitError` when it cannot be had.
    """
    if goal.is_file() and _is_it(goal, size, sha256):
        return goal
    with said_plainly(goal):
        goal.parent.mkdir(parents=True, exist_ok=True)
    part = goal.with_name(goal.name + PART)
    with held(goal.parent, wait=True):
        _ensure_room(goal, size, _bytes_of(part))
        if size is None or _bytes_of(part) != size:
            _complete(url, part, size, progress)
        _ensure_it(part, goal, url, size, sha256)
        with said_plainly(goal):
            part.replace(goal)
    return goal


def _complete(url: str, part: Path, size: int | None, progress: Progress) -> None:
    """Fetch until the end, trying again as long as every try brings something."""
    failures = 0
    while True:
        before = _bytes_of(part)
        try:
            _once(url, part, before, size, progress)
            return
        except (OSError, http.client.HTTPException) as exc:
            if isinstance(exc, urllib.error.HTTPError) and exc.code < 500:
                raise EdgekitError(f"{url} answered {exc.code} {exc.reason}", _advice(exc.code)) from exc
            failures = 0 if _bytes_of(part) > before else failures + 1
            if failures >= TRIES:
                raise EdgekitError(
                    f"{url} cannot be fetched: {exc}", "the same command goes on from where it broke off"
                ) from exc


def _bytes_of(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _once(url: str, part: Path, have: int, size: int | None, progress: Progress) -> None:
    """One connection's worth. Raises `OSError` when it ended early."""
    with _opened(url, have) as answer:
        resumed = have > 0 and _goes_on_at(answer, have)
        done = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length and length.isdecimal() else size or 0
        if size is not None and total and total != size:
            raise InputError(f"{url} has {total} bytes, {size} were promised", "has it been replaced? look at its page")
        with _writing(part, resumed) as write:
            for piece in _pieces(answer):
                write(piece)
                done += len(piece)
                progress(Event(stage=f"fetch {part.name.removesuffix(PART)}", done=done, total=total))
    if total and done < total:
        raise OSError(f"the connection broke off at {done} of {total} bytes")


def _goes_on_at(answer: Any, have: int) -> bool:
    """Whether the server sends what was asked for, from byte `have` on; else it sends the whole. Raises `OSError` for another part."""
    if answer.status != 206:
        return False
    where = str(answer.headers.get("Content-Range", ""))
    if where and not where.startswith(f"bytes {have}-"):
        raise OSError(f"the server sent the range {where!r}, not from {have} on")
    return True


@contextmanager
def _writing(part: Path, resumed: bool) -> Iterator[Callable[[bytes], None]]:
    """Writes pieces. A disk that is full is no broken connection, which would be tried again: it is told as what it is."""
    with said_plainly(part):
        file = part.open("ab" if resumed else "wb", buffering=0)

    def write(piece: bytes) -> None:
        rest = memoryview(piece)
        with said_plainly(part):
            while rest:
                rest = rest[file.write(rest) :]

    with file:
        yield write
        with said_plainly(part):
            os.fsync(file.fileno())


def _pieces(answer: Any) -> Iterator[bytes]:
    while piece := answer.read1(PIECE_BYTES):
        yield piece


@contextmanager
def _opened(url: str, have: int) -> Iterator[Any]:
    """The answer, from byte `have` on where the server can. Bytes that were all there already are no error."""
    headers = {"User-Agent": "edgekit", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
            yield answer
    except urllib.error.HTTPError as exc:
        if exc.code != 416:
            raise
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"User-Agent": "edgekit"}), timeout=TIMEOUT_S
        ) as answer:
            yield answer


def _is_it(path: Path, size: int | None, sha256: str) -> bool:
    if sha256:
        return sha256_file(path) == sha256
    return size is None or path.stat().st_size == size


def _ensure_it(part: Path, goal: Path, url: str, size: int | None, sha256: str) -> None:
    """Raise `InputError`, and remove what came, when it is not what was promised, or no model."""
    try:
        found = part.stat().st_size
        if size is not None and found != size:
            raise _another(url, f"has {found} bytes, {size} were promised")
        if sha256 and (digest := sha256_file(part)) != sha256:
            raise _another(url, f"has the sha256 {digest[:12]}…, {sha256[:12]}… was promised")
        if not sha256:
            _ensure_model(part, goal, url)
    except InputError:
        part.unlink()
        raise


def _ensure_model(part: Path, goal: Path, url: str) -> None:
    """Where no hash is known: a GGUF must be whole, and nothing may be a web page or a Git LFS pointer in a model's place."""
    with part.open("rb") as file:
        head = file.read(256).lstrip()
    if head[:1] == b"<":
        raise _another(url, "is a web page, not a model")
    if head.startswith(b"version https://git-lfs"):
        raise _another(url, "is a Git LFS pointer, not the model it points to")
    if goal.suffix.lower() == ".gguf":
        try:
            read_header(part)
        except InputError as exc:
            raise _another(url, f"is no whole model: {exc.message}") from exc


def _another(url: str, problem: str) -> InputError:
    return InputError(f"what came from {url} {problem}", "has it been replaced? look at its page")


def _ensure_room(goal: Path, size: int | None, have: int) -> None:
    if size is None or not hasattr(os, "statvfs"):
        return
    state = os.statvfs(goal.parent)
    free = state.f_bavail * state.f_frsize
    if size - have > free:
        raise EdgekitError(
            f"{goal.name!r} needs {(size - have) / 1e9:.2f} GB more, the disk has {free / 1e9:.2f} GB free",
            "make room, or -o elsewhere",
        )


def _advice(status: int) -> str:
    return "its makers ask for a login or a form: see its page" if status in (401, 403) else "has it moved? see its page"
