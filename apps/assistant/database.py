"""SQLite files that several threads and processes share: opened safely, checked, and bounded in size."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from edgekit.core.errors import EdgekitError

WAIT_S = 30.0
SIDES = ("", "-wal", "-shm", "-journal")


class Full(EdgekitError):
    """There is no room to write: the disk is full, or the file has reached the size it may have."""


class Damaged(EdgekitError):
    """The file is no database, or a damaged one."""


class Database:
    """One file, one connection, one writer at a time. Readers in other processes are not held up (write-ahead log)."""

    def __init__(self, path: Path, schema: str, *, max_bytes: int = 0) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _said(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(path, timeout=WAIT_S, check_same_thread=False, isolation_level=None)
        try:
            with _said(path):
                self._prepare(schema, max_bytes)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, schema: str, max_bytes: int) -> None:
        with suppress(OSError):  # a file system without owners keeps the modes it has
            self.path.chmod(0o600)
        run = self._connection.execute
        self._connection.row_factory = sqlite3.Row
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run("PRAGMA foreign_keys=ON")
        run("PRAGMA trusted_schema=OFF")
        if max_bytes:
            (page,) = run("PRAGMA page_size").fetchone()
            run(f"PRAGMA max_page_count={max(max_bytes // page, 16)}")
        self._connection.executescript(schema)

    def rows(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, _said(self.path):
            return self._connection.execute(sql, values).fetchall()

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None without one."""
        found = self.rows(sql, values)
        return found[0][0] if found else None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block or nothing of it. Raises `Full` and `Damaged`."""
        with self._lock, _said(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite has rolled back by itself after some of its errors
                    self._connection.execute("ROLLBACK")
                raise

    def copy_to(self, path: Path) -> None:
        """A whole copy, which appears at `path` at once."""
        part = path.with_name(f"{path.name}.part")
        with self._lock, _said(path):
            part.unlink(missing_ok=True)
            part.touch(mode=0o600)
            with closing(sqlite3.connect(part)) as copy:
                self._connection.backup(copy)
            part.replace(path)

    def compact(self) -> None:
        """Give back the room of what was deleted, so that it cannot be read from the file any more."""
        with self._lock, _said(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closing again does nothing."""
        with self._lock:
            self._connection.close()


def is_sound(path: Path) -> bool:
    """Whether the file is a database without damage. A missing one is sound: it is yet to be made."""
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
            return [row[0] for row in connection.execute("PRAGMA integrity_check(1)")] == ["ok"]
    except sqlite3.DatabaseError:
        return False


def set_aside(path: Path) -> Path:
    """Move a damaged database away, for whoever wants to look at it; where it is now."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}")
    for side in SIDES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + side).replace(aside.with_name(aside.name + side))
    return aside


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """SQLite's complaints as ours."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        if "full" in str(exc) or "I/O" in str(exc):
            raise Full(f"{path.name!r} cannot be written: {exc}", "is there space on the disk?") from exc
        if "no such module: fts5" in str(exc):
            raise EdgekitError("this Python's SQLite has no full-text search (FTS5)", "use another Python") from exc
        raise EdgekitError(f"{str(path)!r} cannot be used: {exc}", "may this user write there?") from exc
    except sqlite3.DatabaseError as exc:
        raise Damaged(f"{path.name!r} is damaged: {exc}", "the next start mends it") from exc
    except OSError as exc:
        raise EdgekitError(f"{str(path)!r} cannot be used: {exc.strerror or exc}", "may this user write there?") from exc
