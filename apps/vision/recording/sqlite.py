"""SQLite files that a power cut or a worn card may have damaged: opened, checked, set aside, and read as far as they can be."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from edgekit.core.errors import EdgekitError

log = logging.getLogger(__name__)
SIDES = ("", "-wal", "-shm")
Row = dict[str, Any]


def opened(
    path: Path, prepare: Callable[[sqlite3.Connection], None], table: str, sound: Callable[[Row], bool]
) -> sqlite3.Connection:
    """The database after `prepare` has seen to its tables. A damaged one is kept beside it under another name, and the rows of
    `table` that can still be read, and are `sound`, are taken over. Raises `EdgekitError` where it cannot be opened at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _checked(path, prepare)
    except sqlite3.OperationalError as exc:
        raise EdgekitError(f"the database {str(path)!r} does not open: {exc}", "is the disk full or read-only?") from exc
    except sqlite3.DatabaseError as exc:
        aside = _set_aside(path)
        fresh = _checked(path, prepare)
        rows = _taken_over(aside, fresh, table, sound)
        log.error("%s is damaged (%s); it is kept as %s, and %d rows of it were saved", path, exc, aside.name, rows)
        return fresh


def _checked(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        with closing(database.execute("PRAGMA quick_check")) as found:
            said = found.fetchone()[0]
        if said != "ok":
            raise sqlite3.DatabaseError(said)
        prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _set_aside(path: Path) -> Path:
    """Move the file away with its log, which may hold what the file lacks."""
    numbered = (path.with_name(f"{path.name}.damaged-{number}") for number in range(1, 10_000))
    aside = next(name for name in numbered if not name.exists())
    for side in SIDES:
        if path.with_name(path.name + side).exists():
            path.with_name(path.name + side).rename(aside.with_name(aside.name + side))
    return aside


def _taken_over(aside: Path, fresh: sqlite3.Connection, table: str, sound: Callable[[Row], bool]) -> int:
    """Copy what can be read; how many rows that was. A page of something else may be read as rows, which are not sound."""
    known = [str(row[1]) for row in fresh.execute(f"PRAGMA table_info({table})")]
    saved = 0
    with fresh:
        for row in _readable(aside, table):
            if sound(row):
                names = [name for name in row if name in known]
                insert = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
                saved += _inserted(fresh, insert, [row[name] for name in names])
    return saved


def _inserted(fresh: sqlite3.Connection, insert: str, values: list[Any]) -> int:
    """1 where the row keeps the table's rules; one that lost a value does not."""
    try:
        return fresh.execute(insert, values).rowcount
    except sqlite3.Error:
        return 0


def _readable(aside: Path, table: str) -> Iterator[Row]:
    """The rows from the first on until the damage, then from the last on back to it; a row may come twice."""
    try:
        with closing(sqlite3.connect(aside, timeout=5.0)) as damaged:
            damaged.execute("PRAGMA writable_schema = ON")  # SQLite then reads a file that is shorter than its header says
            for order in ("ASC", "DESC"):
                yield from _until_damaged(damaged, f"SELECT * FROM {table} ORDER BY rowid {order}")
    except sqlite3.Error as exc:
        log.warning("nothing more can be read of %s: %s", aside.name, exc)


def _until_damaged(damaged: sqlite3.Connection, select: str) -> Iterator[Row]:
    try:
        cursor = damaged.execute(select)
        columns = [str(column[0]) for column in cursor.description]
        for row in cursor:
            yield dict(zip(columns, row, strict=True))
    except sqlite3.DatabaseError as exc:
        log.warning("reading a damaged database stopped: %s", exc)
