"""Events on disk: SQLite in WAL mode, every event flushed when it is added, a damaged file set aside and not the end."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.recording.sqlite import opened
from edgekit.core.errors import NotFound

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, camera TEXT NOT NULL, rule TEXT NOT NULL, type TEXT NOT NULL, severity TEXT NOT NULL,
    start_s REAL NOT NULL, end_s REAL, score REAL NOT NULL, track INTEGER, evidence TEXT NOT NULL, clip TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS events_by_time ON events (start_s);
"""
ADDED = {
    "clip_at_s": "REAL NOT NULL DEFAULT 0",
    "snapshot": "TEXT NOT NULL DEFAULT ''",
    "box": "TEXT NOT NULL DEFAULT 'null'",
    "kept": "INTEGER NOT NULL DEFAULT 0",
}
"""Columns that databases of the first version lack."""
COLUMNS = "id, camera, rule, type, severity, start_s, end_s, score, track, evidence, clip, clip_at_s, snapshot, box, kept"
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What was kept beside an event: names of files (empty: none), where in the clip the event begins, and the box of whom it is
    about, (x1, y1, x2, y2) in shares of the picture."""

    clip: str = ""
    clip_at_s: float = 0.0
    snapshot: str = ""
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An event with its number in the database and what was kept of it. Times are seconds since 1970."""

    id: int
    event: Event
    media: Media
    kept: bool = False
    """Whether somebody said that it stays, whatever its age."""

    @property
    def clip(self) -> str:
        return self.media.clip

    @property
    def place(self) -> Place:
        """Where it stands in the order of time."""
        return Place(start_s=self.event.start_s, id=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which events are asked for; what is empty or None asks for nothing. Times are seconds since 1970."""

    camera: str = ""
    rule: str = ""
    severity: str = ""
    since_s: float | None = None
    until_s: float | None = None
    kept: bool = False
    open: bool = False
    """Only events that have no end yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An event's place in the order of time, from which older ones follow."""

    start_s: float
    id: int


class Writes(Protocol):
    """Whoever takes events down."""

    def add(self, event: Event, media: Media | None = None) -> int: ...
    def end(self, number: int, event: Event) -> None: ...


class EventStore:
    """The events of a site. May be used by several threads."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._database = opened(path, _prepared, "events", _sound)

    def mend(self) -> None:
        """Open the database anew; a damaged one is set aside, and what can be read of it is taken over."""
        with self._lock:
            self._database.close()
            self._database = opened(self._path, _prepared, "events", _sound)

    def add(self, event: Event, media: Media | None = None) -> int:
        """Write an event; on the disk when this returns. The number to `end` it by."""
        media = media or Media()
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
        beside = (_json(event.evidence), media.clip, media.clip_at_s, media.snapshot, json.dumps(media.box), 0)
        insert = f"INSERT INTO events ({COLUMNS.partition(', ')[2]}) VALUES ({', '.join('?' * 14)})"
        with self._lock, self._database:
            done = self._database.execute(insert, (*row, *beside))
        return int(done.lastrowid or 0)

    def end(self, number: int, event: Event) -> None:
        """Write how an event ended."""
        self._change(
            "UPDATE events SET end_s = ?, score = ?, evidence = ? WHERE id = ?",
            event.end_s,
            float(event.score),
            _json(event.evidence),
            number,
        )

    def latest(self, most: int = 100) -> list[Stored]:
        """The newest events, newest first."""
        return self.find(Query(), most)

    def find(self, query: Query, most: int = 100, *, after: Place | None = None) -> list[Stored]:
        """The newest events that are asked for, newest first; those older than the event at `after`, if it is given."""
        where, values = _where(query)
        if after is not None:
            where, values = f"{where} AND (start_s, id) < (?, ?)", (*values, after.start_s, after.id)
        select = f"SELECT {COLUMNS} FROM events WHERE {where} ORDER BY start_s DESC, id DESC LIMIT ?"
        return [_stored(row) for row in self._rows(select, *values, most)]

    def get(self, number: int) -> Stored:
        """One event. Raises `NotFound`."""
        rows = self._rows(f"SELECT {COLUMNS} FROM events WHERE id = ?", number)
        if not rows:
            raise NotFound(f"there is no event {number}", "it may have been deleted")
        return _stored(rows[0])

    def histogram(self, query: Query, since_s: float, width_s: float) -> Mapping[tuple[int, str], int]:
        """How many events of each severity began in each stretch of `width_s` seconds from `since_s` on."""
        where, values = _where(query)
        select = f"SELECT CAST((start_s - ?) / ? AS INTEGER), severity, COUNT(*) FROM events WHERE {where} GROUP BY 1, 2"
        return {(int(row[0]), str(row[1])): int(row[2]) for row in self._rows(select, since_s, width_s, *values)}

    def first_s(self, query: Query) -> float | None:
        """When the first event began that is asked for; None where there is none."""
        where, values = _where(query)
        found = self._rows(f"SELECT MIN(start_s) FROM events WHERE {where}", *values)[0][0]
        return None if found is None else float(found)

    def known(self, column: str) -> list[str]:
        """The cameras or rules that events are of."""
        assert column in ("camera", "rule")
        return [str(row[0]) for row in self._rows(f"SELECT DISTINCT {column} FROM events ORDER BY 1")]

    def keep(self, number: int, kept: bool = True) -> None:
        """Say that an event stays, or no longer."""
        self._change("UPDATE events SET kept = ? WHERE id = ?", int(kept), number)

    def delete(self, number: int) -> Media:
        """Delete an event; the files that no other event needs now. Raises `NotFound`."""
        media = self.get(number).media
        self._change("DELETE FROM events WHERE id = ?", number)
        shared = self._rows("SELECT 1 FROM events WHERE clip = ? LIMIT 1", media.clip)
        return Media(clip="" if shared else media.clip, snapshot=media.snapshot)

    def forget(self, before_s: float) -> int:
        """Delete events older than that, but for those that stay; how many there were."""
        return self._change("DELETE FROM events WHERE start_s < ? AND kept = 0", before_s)

    def kept_files(self) -> frozenset[str]:
        """Clips and snapshots that stay."""
        return frozenset(
            str(name) for row in self._rows("SELECT clip, snapshot FROM events WHERE kept") for name in row if name
        )

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _rows(self, select: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(select, values).fetchall()

    def _change(self, statement: str, *values: object) -> int:
        with self._lock, self._database:
            return self._database.execute(statement, values).rowcount


def _where(query: Query) -> tuple[str, tuple[object, ...]]:
    """The condition in SQL, and its values."""
    asked: list[tuple[str, object]] = [
        (f"{column} = ?", value)
        for column, value in (("camera", query.camera), ("rule", query.rule), ("severity", query.severity))
        if value
    ]
    if query.since_s is not None:
        asked.append(("start_s >= ?", query.since_s))
    if query.until_s is not None:
        asked.append(("start_s < ?", query.until_s))
    if query.open:
        asked.append(("end_s IS ?", None))
    if query.kept:
        asked.append(("kept = ?", 1))
    return " AND ".join(["1", *(condition for condition, _ in asked)]), tuple(value for _, value in asked)


def _json(evidence: Mapping[str, Any]) -> str:
    return json.dumps(dict(evidence), default=float)


def _prepared(database: sqlite3.Connection) -> None:
    """The table, with the columns that older databases lack."""
    database.executescript(SCHEMA)
    there = {row[1] for row in database.execute("PRAGMA table_info(events)")}
    for column, kind in ADDED.items():
        if column not in there:
            database.execute(f"ALTER TABLE events ADD COLUMN {column} {kind}")


def _sound(row: Mapping[str, Any]) -> bool:
    """Whether a row that was read from a damaged file is an event."""
    columns = COLUMNS.split(", ")
    defaults = {"clip_at_s": 0.0, "snapshot": "", "box": "null", "kept": 0}
    try:
        found = _stored(tuple(row.get(column, defaults.get(column)) for column in columns))
    except (TypeError, ValueError):
        return False
    texts = (found.event.camera, found.event.rule, found.event.type, found.event.severity)
    return all(isinstance(text, str) and text for text in texts) and isinstance(found.event.start_s, float)


def _stored(row: tuple[Any, ...]) -> Stored:
    number, camera, rule, kind, severity, start_s, end_s, score, track, evidence, clip, clip_at_s, snapshot, box, kept = row
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
    corners = json.loads(box)
    media = Media(clip=clip, clip_at_s=clip_at_s, snapshot=snapshot, box=None if corners is None else tuple(corners))
    return Stored(id=number, event=event, media=media, kept=bool(kept))
