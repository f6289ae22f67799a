"""What a board has to say, kept on its disk until the server has it: days offline lose no event, and readings only for want of room.

When the room is used up the oldest readings go first, and are counted; events never go. What the agent must remember through a power
cut (the newest order, how far downloads are) stands in the same file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from threading import RLock
from typing import Literal

import msgspec

from edgekit.core.errors import EdgekitError

Kind = Literal["reading", "event"]
MOST_READINGS = 20_000
"""Two weeks of one a minute, in about 10 MB."""
BATCH_BYTES = 64 << 10
EPOCH = "epoch"
_WAIT_S = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS said (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS said_kind ON said (kind, id);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is sent in one message: JSON lines, and the numbers of the first and last."""

    kind: Kind
    first: int
    last: int
    data: bytes


class Spool:
    """A queue and a few facts in one SQLite file. Safe to use from several threads, and after being killed at any point."""

    def __init__(self, path: Path | str, *, most_readings: int = MOST_READINGS) -> None:
        """Opens or makes the file; one that is damaged is put aside and begun anew, which is said as an event."""
        self._most = most_readings
        self._handed_in = 0
        """The last reading that the server has and this file may still hold: the next one that is kept takes it out, in one write."""
        self._lock = RLock()
        self._db = _opened(path)

    def close(self) -> None:
        """Let the file go."""
        with suppress(EdgekitError), self._write() as db:
            self._clear(db)
        self._db.close()

    @property
    def epoch(self) -> str:
        """What tells this file's numbers from those of another one for the same board."""
        return self.fact(EPOCH)

    def say(self, kind: Kind, what: Mapping[str, object]) -> None:
        """Keep a line. The board's clock stands in it for what it is worth: it may say 1970."""
        text = msgspec.json.encode({"board_time_s": round(time.time(), 3), **what}).decode()
        with self._write() as db:
            db.execute("INSERT INTO said (kind, text) VALUES (?, ?)", (kind, text))
            if kind == "reading":
                self._clear(db)
                self._make_room(db)

    def next_batch(self, kind: Kind) -> Batch | None:
        """The oldest lines, up to `BATCH_BYTES`; None when nothing waits."""
        taken: list[tuple[int, str]] = []
        size = 0
        wanted = "SELECT id, text FROM said WHERE kind = ? AND id > ? ORDER BY id LIMIT 500"
        with self._lock:
            for number, text in self._db.execute(wanted, (kind, self._gone(kind))):
                size += len(text) + 24
                if taken and size > BATCH_BYTES:
                    break
                taken.append((number, text))
        if not taken:
            return None
        lines = "\n".join(f'{{"n":{number},{text[1:]}' for number, text in taken)
        return Batch(kind=kind, first=taken[0][0], last=taken[-1][0], data=lines.encode())

    def done(self, batch: Batch) -> None:
        """The server has these. Readings leave the file with the next one that comes: a card takes one write a minute instead of two."""
        if batch.kind == "reading":
            self._handed_in = batch.last
            return
        with self._write() as db:
            db.execute("DELETE FROM said WHERE kind = ? AND id BETWEEN ? AND ?", (batch.kind, batch.first, batch.last))

    def waiting(self, kind: Kind | None = None) -> int:
        """How many lines have not reached the server."""
        counted = "SELECT COUNT(*) FROM said WHERE kind = ? AND id > ?"
        kinds: tuple[Kind, ...] = (kind,) if kind else ("reading", "event")
        with self._lock:
            return sum(int(self._db.execute(counted, (each, self._gone(each))).fetchone()[0]) for each in kinds)

    def dropped(self) -> int:
        """How many readings were given up for want of room, ever."""
        return int(self.fact("dropped") or 0)

    def fact(self, name: str) -> str:
        """What was remembered under a name; nothing when nothing was."""
        with self._lock:
            row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def remember(self, **facts: str) -> None:
        """Remember all of these, or after a power cut none."""
        with self._write() as db:
            db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", list(facts.items()))

    def forget(self, name: str) -> None:
        """No longer remember it."""
        with self._write() as db:
            db.execute("DELETE FROM fact WHERE name = ?", (name,))

    def _gone(self, kind: Kind) -> int:
        return self._handed_in if kind == "reading" else 0

    def _clear(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM said WHERE kind = 'reading' AND id <= ?", (self._handed_in,))

    def _make_room(self, db: sqlite3.Connection) -> None:
        (count,) = db.execute("SELECT COUNT(*) FROM said WHERE kind = 'reading'").fetchone()
        over = count - self._most
        if over > 0:
            db.execute("DELETE FROM said WHERE id IN (SELECT id FROM said WHERE kind = 'reading' ORDER BY id LIMIT ?)", (over,))
            db.execute("INSERT OR REPLACE INTO fact VALUES ('dropped', ?)", (str(self.dropped() + over),))

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One change, whole. Raises `EdgekitError` when the disk is full."""
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as exc:
                raise EdgekitError(f"the board's queue cannot be written: {exc}", "is its disk full?") from exc


def _opened(path: Path | str) -> sqlite3.Connection:
    """Raises `EdgekitError` for a file that is whole and cannot be used now: another agent has it, or the disk is full."""
    try:
        return _begun(path)
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.OperationalError) and "disk I/O error" not in str(exc):
            raise EdgekitError(
                f"the board's queue cannot be opened: {exc}", "is its disk full, or another agent running?"
            ) from exc
        file = Path(path)
        file.replace(file.with_suffix(".damaged"))
        for rest in ("-wal", "-shm"):
            Path(f"{file}{rest}").unlink(missing_ok=True)
        database = _begun(path)
        lost = msgspec.json.encode({"what": "queue lost", "why": f"{file.name} was damaged and put aside"}).decode()
        with database:
            database.execute("INSERT INTO said (kind, text) VALUES ('event', ?)", (lost,))
        return database


def _begun(path: Path | str) -> sqlite3.Connection:
    """WAL and full synchronisation: what was committed is there after a power cut."""
    database = sqlite3.connect(path, check_same_thread=False, timeout=_WAIT_S)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_TABLES)
        with database:
            database.execute("INSERT OR IGNORE INTO fact VALUES (?, ?)", (EPOCH, token_hex(4)))
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
    except sqlite3.Error:
        database.close()
        raise
    return database
