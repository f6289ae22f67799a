"""Files written whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgekit.core.errors import EdgekitError, InputError
from edgekit.core.interrupts import uninterrupted
from edgekit.core.locks import held, is_held

PIECE_BYTES = 64 << 10
"""Larger pieces cost a small file fresh pages of memory at every read, and gain a large one nothing."""
PARTIAL, ASIDE = ".partial", ".old.partial"
"""How the folders end that `new_folder` makes beside its goal: what is being written, and what is being replaced."""


def sha256_bytes(data: bytes) -> str:
    """The hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path | str) -> str:
    """The hex SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (a `Path` costs as much as the hash of a small file)
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to `path` so that readers see the old file or the new one, never half of one."""
    with said_plainly(path), uninterrupted():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def ensure_free(path: Path, *, replace: bool) -> None:
    """Raise `InputError` when something stands at `path` and may not be replaced."""
    with said_plainly(path):
        taken = path.exists()
    if taken and not replace:
        raise InputError(f"{str(path)!r} exists already", "choose another -o, or pass --force to replace it")


def ensure_writable(folder: Path) -> None:
    """Make `folder` and raise `EdgekitError` unless files can be made in it: better before an hour's work than after."""
    with said_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def ensure_creatable(folder: Path) -> None:
    """The same of a folder that is made later, by what is written: nothing is left of what is refused until then."""
    with said_plainly(folder):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=there):
            pass


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    Raises `InputError` when `path` exists already and `replace` is false. A process killed in between leaves only dot-folders:
    the next call for the same path puts back what had been moved aside and removes the rest, but not what a living process
    is still writing.
    """
    with ExitStack() as undo:
        temporary = _begun(path, undo, replace=replace)
        with said_plainly(path, only_inside=temporary):
            yield temporary
        with said_plainly(path):
            _flush(temporary)
            temporary.chmod(0o755)
            with uninterrupted():
                _swap_in(temporary, path)


def _begun(path: Path, undo: ExitStack, *, replace: bool) -> Path:
    """A new temporary folder for `path`, locked until `undo` ends and then removed, if it still has that name.

    One process at a time makes one, so that none takes it for a leftover.
    """
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with held(path.parent, wait=True):
            _clear_away(path)
            ensure_free(path, replace=replace)
            with uninterrupted():
                temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL))
                undo.callback(_remove, temporary)
                undo.enter_context(held(temporary))
    return temporary


def _remove(folder: Path) -> None:
    with uninterrupted():
        shutil.rmtree(folder, ignore_errors=True)


def _swap_in(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; what stood there moves aside first, and back when the second step fails."""
    if not path.exists():
        temporary.rename(path)
        return
    aside = temporary.with_suffix(ASIDE)
    path.rename(aside)
    try:
        temporary.rename(path)
    except BaseException:
        aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _clear_away(path: Path) -> None:
    """Mend what killed processes left: restore what they moved aside, remove what they had half written."""
    left = [entry for entry in path.parent.iterdir() if _of(path, entry.name)]
    for aside in (entry for entry in left if entry.name.endswith(ASIDE)):
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(path)
    for stale in (entry for entry in left if not entry.name.endswith(ASIDE) and not is_held(entry)):
        shutil.rmtree(stale, ignore_errors=True)


def _of(path: Path, name: str) -> bool:
    """Whether `name` is one that `new_folder` gives while it makes `path` (eight random characters: see tempfile)."""
    return re.fullmatch(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}(\.old)?\.partial", name) is not None


def _flush(folder: Path) -> None:
    """Bring the files of a folder to the disk, so that after a power cut its name does not stand for empty files."""
    for file in (entry for entry in folder.rglob("*") if entry.is_file()):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


@contextmanager
def said_plainly(path: Path, *, only_inside: Path | None = None) -> Iterator[None]:
    """Turn the operating system's complaint about writing `path` into one of ours.

    With `only_inside`, complaints that name a file elsewhere (what the block reads, say) pass through as they are.
    """
    try:
        yield
    except OSError as exc:
        elsewhere = exc.filename is not None and only_inside not in (None, *Path(str(exc.filename)).parents)
        if only_inside is not None and elsewhere:
            raise
        reason = exc.strerror or str(exc)
        if isinstance(exc, PermissionError):
            raise EdgekitError(f"may not write {str(path)!r}: {reason}", "choose a folder you own with -o") from exc
        raise EdgekitError(f"could not write {str(path)!r}: {reason}", "is there space, and is the disk writable?") from exc
