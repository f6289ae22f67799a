"""Fetching a large file: on from where it broke off, checked before it gets its name, and said how far it is."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from edgekit.core.errors import EdgekitError, InputError
from edgekit.core.files import said_plainly, sha256_file
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
    is not the one that was promised, `EdgekitError` when it cannot be had.
    """
    if goal.is_file() and _is_it(goal, size, sha256):
        return goal
    with said_plainly(goal):
        goal.parent.mkdir(parents=True, exist_ok=True)
    part = goal.with_name(goal.name + PART)
    with held(goal.parent, wait=True):
        _ensure_room(goal, size)
        _complete(url, part, size, progress)
        _ensure_it(part, url, size, sha256)
        with said_plainly(goal):
            part.replace(goal)
    return goal


def _complete(url: str, part: Path, size: int | None, progress: Progress) -> None:
    """Fetch until the end, trying again as long as every try brings something."""
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _once(url, part, before, size, progress)
            return
        except (OSError, http.client.HTTPException) as exc:
            if isinstance(exc, urllib.error.HTTPError) and exc.code < 500:
                raise EdgekitError(f"{url} answered {exc.code} {exc.reason}", _advice(exc.code)) from exc
            after = part.stat().st_size if part.is_file() else 0
            failures = 0 if after > before else failures + 1
            if failures >= TRIES:
                raise EdgekitError(
                    f"{url} cannot be fetched: {exc}", "the same command goes on from where it broke off"
                ) from exc


def _once(url: str, part: Path, have: int, size: int | None, progress: Progress) -> None:
    """One connection's worth. Raises `OSError` when it ended early."""
    with _opened(url, have) as answer:
        resumed = have > 0 and answer.status == 206
        start = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else size or 0
        if size is not None and total and total != size:
            raise InputError(f"{url} has {total} bytes, {size} were promised", "has it been replaced? look at its page")
        done = start
        with said_plainly(part, only_inside=part.parent), part.open("ab" if resumed else "wb") as file:
            for piece in _pieces(answer):
                _write(file, piece, part)
                done += len(piece)
                progress(Event(stage=f"fetch {part.name.removesuffix(PART)}", done=done, total=total))
            file.flush()
            os.fsync(file.fileno())
    if total and done < total:
        raise OSError(f"the connection broke off at {done} of {total} bytes")


def _write(file: IO[bytes], piece: bytes, part: Path) -> None:
    """A full disk is no broken connection: it is not tried again."""
    try:
        file.write(piece)
    except OSError as exc:
        raise EdgekitError(f"could not write {str(part)!r}: {exc.strerror or exc}", "is there space?") from exc


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


def _ensure_it(part: Path, url: str, size: int | None, sha256: str) -> None:
    """Raise `InputError`, and remove what came, when it is not what was promised."""
    found = part.stat().st_size
    problem = f"has {found} bytes, {size} were promised" if size is not None and found != size else ""
    if not problem and sha256:
        digest = _digest(part)
        problem = f"has the sha256 {digest[:12]}…, {sha256[:12]}… was promised" if digest != sha256 else ""
    if problem:
        part.unlink()
        raise InputError(f"what came from {url} {problem}", "has it been replaced? look at its page")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _ensure_room(goal: Path, size: int | None) -> None:
    if size is None or not hasattr(os, "statvfs"):
        return
    state = os.statvfs(goal.parent)
    free = state.f_bavail * state.f_frsize
    if size > free:
        raise EdgekitError(
            f"{goal.name!r} has {size / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB free", "make room, or -o elsewhere"
        )


def _advice(status: int) -> str:
    return "its makers ask for a login or a form: see its page" if status in (401, 403) else "has it moved? see its page"
