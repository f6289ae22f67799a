"""Events on disk: SQLite in WAL mode, every event flushed when it is added, a damaged file set aside and not the end."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from edgekit.apps.vision.events import Event
from edgekit.core.errors import EdgekitError

log = logging.getLogger(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, camera TEXT NOT NULL, rule TEXT NOT NULL, type TEXT NOT NULL, severity TEXT NOT NULL,
    start_s REAL NOT NULL, end_s REAL, score REAL NOT NULL, track INTEGER, evidence TEXT NOT NULL, clip TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS events_by_time ON events (start_s);
"""
COLUMNS = "id, camera, rule, type, severity, start_s, end_s, score, track, evidence, clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An event with its number in the database and its clip's name, if it has one. Times are seconds since 1970."""

    id: int
    event: Event
    clip: str


class EventStore:
    """The events of a site. May be used by several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = Lock()
        self._database = _opened(path)

    def add(self, event: Event, clip: str = "") -> int:
        """Write an event; on the disk when this returns. The number to `close` it by."""
        row = (
            event.camera,
            event.rule,
            event.type,
            event.severity,
            event.start_s,
            event.end_s,
            float(event.score),
            event.track,
        )
        insert = f"INSERT INTO events ({COLUMNS.partition(', ')[2]}) VALUES ({', '.join('?' * 10)})"
        with self._lock, self._database:
            done = self._database.execute(insert, (*row, json.dumps(dict(event.evidence), default=float), clip))
        return int(done.lastrowid or 0)

    def end(self, number: int, event: Event) -> None:
        """Write how an event ended."""
        with self._lock, self._database:
            self._database.execute(
                "UPDATE events SET end_s = ?, score = ?, evidence = ? WHERE id = ?",
                (event.end_s, float(event.score), json.dumps(dict(event.evidence), default=float), number),
            )

    def latest(self, most: int = 100) -> list[Stored]:
        """The newest events, newest first."""
        with self._lock:
            rows = self._database.execute(f"SELECT {COLUMNS} FROM events ORDER BY start_s DESC, id DESC LIMIT ?", (most,))
            return [_stored(row) for row in rows]

    def forget(self, before_s: float) -> int:
        """Delete events older than that; how many there were."""
        with self._lock, self._database:
            return self._database.execute("DELETE FROM events WHERE start_s < ?", (before_s,)).rowcount

    def close(self) -> None:
        with self._lock:
            self._database.close()


def _opened(path: Path) -> sqlite3.Connection:
    """The database, or a new one when the file is damaged; that stays beside it under another name."""
    try:
        return _checked(path)
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.OperationalError):
            raise EdgekitError(
                f"the event database {str(path)!r} does not open: {exc}", "is the disk full or read-only?"
            ) from exc
        aside = _free_name(path)
        log.error("%s is damaged (%s); it is kept as %s", path, exc, aside.name)
        path.rename(aside)
        for extra in ("-wal", "-shm"):
            path.with_name(path.name + extra).unlink(missing_ok=True)
        return _checked(path)


def _free_name(path: Path) -> Path:
    numbered = (path.with_name(f"{path.name}.damaged-{number}") for number in range(1, 10_000))
    return next(name for name in numbered if not name.exists())


def _checked(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        with closing(database.execute("PRAGMA quick_check")) as found:
            said = found.fetchone()[0]
        if said != "ok":
            raise sqlite3.DatabaseError(said)
        database.executescript(SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _stored(row: tuple[Any, ...]) -> Stored:
    number, camera, rule, kind, severity, start_s, end_s, score, track, evidence, clip = row
    event = Event(
        type=kind,
        rule=rule,
        camera=camera,
        start_s=start_s,
        end_s=end_s,
        score=score,
        track=track,
        severity=severity,
        evidence=json.loads(evidence),
    )
    return Stored(id=number, event=event, clip=clip)
