"""Files written whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.core.errors import EdgekitError, InputError


def sha256_bytes(data: bytes) -> str:
    """The hex SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The hex SHA-256 of a file, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that readers see the old file or the new one, never half of one."""
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def ensure_free(path: Path, *, replace: bool) -> None:
    """Raise `InputError` when something stands at `path` and may not be replaced."""
    if path.exists() and not replace:
        raise InputError(f"{str(path)!r} exists already", "choose another -o, or pass --force to replace it")


def ensure_writable(folder: Path) -> None:
    """Make `folder` and raise `EdgekitError` unless files can be made in it: better before an hour's work than after."""
    with said_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    Raises `InputError` when `path` exists already and `replace` is false. A process killed in between leaves only a
    dot-folder that the next call for the same path removes.
    """
    ensure_free(path, replace=replace)
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f".{path.name}.*.partial"):
            shutil.rmtree(stale, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial"))
        try:
            yield temporary
            temporary.chmod(0o755)
            _swap_in(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap_in(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; what stood there moves aside first, so a crash loses neither."""
    if not path.exists():
        temporary.rename(path)
        return
    aside = temporary.with_suffix(".old.partial")
    path.rename(aside)
    temporary.rename(path)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def said_plainly(path: Path) -> Iterator[None]:
    """Turn the operating system's complaint about `path` into one of ours."""
    try:
        yield
    except PermissionError as exc:
        raise EdgekitError(f"may not write {str(path)!r}: {exc.strerror}", "choose a folder you own with -o") from exc
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise EdgekitError(f"could not write {str(path)!r}: {reason}", "is there space, and is the disk writable?") from exc
