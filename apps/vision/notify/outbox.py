"""What is yet to be sent: kept in SQLite until the other side has taken it, bounded, with its losses counted.

Each channel has a queue of its own, so that a broker that is gone holds up nobody else. A full queue gives up what matters
least: of the lowest severity the oldest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Lock
from typing import Any

from edgekit.apps.vision.recording.sqlite import opened

RANKS: Mapping[str, int] = {"low": 0, "medium": 1, "high": 2}
"""Severities; the lowest is given up first."""
MOST = 2000
SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, rank INTEGER NOT NULL, noticed_s REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL, progress BLOB NOT NULL DEFAULT X''
);
CREATE INDEX IF NOT EXISTS waiting_by_channel ON waiting (channel, id);
CREATE TABLE IF NOT EXISTS counted (
    channel TEXT NOT NULL, what TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (channel, what)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One thing to send. `progress` is what its channel has noted of it (an upload's parts); `noticed_s` is seconds since 1970."""

    id: int
    channel: str
    noticed_s: float
    tries: int
    body: bytes
    progress: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A channel's figures since its queue was made: sent, dropped for want of room (by severity), and refused by the other side."""

    waiting: int = 0
    sent: int = 0
    refused: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


class Outbox:
    """The queues of a site. May be used by several threads."""

    def __init__(self, path: Path, *, most: int = MOST) -> None:
        self._most, self._lock = most, Lock()
        self._changed, self._changes = Condition(), 0
        self._database = opened(path, _prepared, "waiting", _sound)

    def put(self, channel: str, body: bytes, *, severity: str, noticed_s: float) -> None:
        """Queue something; on the disk when this returns."""
        with self._lock, self._database:
            self._make_room(channel)
            self._database.execute(
                "INSERT INTO waiting (channel, rank, noticed_s, body) VALUES (?, ?, ?, ?)",
                (channel, RANKS[severity], noticed_s, body),
            )
        self.wake()

    def first(self, channel: str) -> Waiting | None:
        """What has waited longest."""
        with self._lock:
            row = self._database.execute(
                "SELECT id, channel, noticed_s, tries, body, progress FROM waiting WHERE channel = ? ORDER BY id LIMIT 1",
                (channel,),
            ).fetchone()
        names = ("id", "channel", "noticed_s", "tries", "body", "progress")
        return None if row is None else Waiting(**dict(zip(names, row, strict=True)))

    def done(self, waiting: Waiting) -> None:
        """The other side has it."""
        self._leave(waiting, "sent")

    def refused(self, waiting: Waiting) -> None:
        """The other side will never take it."""
        self._leave(waiting, "refused")

    def tried(self, waiting: Waiting) -> None:
        """It was tried once more in vain; it stays where it is."""
        with self._lock, self._database:
            self._database.execute("UPDATE waiting SET tries = tries + 1 WHERE id = ?", (waiting.id,))

    def note(self, waiting: Waiting, progress: bytes) -> None:
        """Remember how far its channel has come with it."""
        with self._lock, self._database:
            self._database.execute("UPDATE waiting SET progress = ? WHERE id = ?", (progress, waiting.id))

    def counts(self, channel: str) -> Counts:
        """The channel's figures."""
        with self._lock:
            (waiting,) = self._database.execute("SELECT COUNT(*) FROM waiting WHERE channel = ?", (channel,)).fetchone()
            rows = self._database.execute("SELECT what, number FROM counted WHERE channel = ?", (channel,)).fetchall()
        known = {str(what): int(number) for what, number in rows}
        dropped = {name: known.get(f"dropped {name}", 0) for name in RANKS}
        return Counts(waiting=waiting, sent=known.get("sent", 0), refused=known.get("refused", 0), dropped=dropped)

    def changes(self) -> int:
        """How often something was put into a queue or somebody called `wake`: what `wait` begins from."""
        with self._changed:
            return self._changes

    def wait(self, since: int, timeout_s: float) -> None:
        """Until there was a change after the `since`-th, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes != since, timeout_s)

    def wake(self) -> None:
        """Count a change, which ends every `wait`."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _make_room(self, channel: str) -> None:
        """Within a transaction: give up the oldest of the lowest severity while the queue is full."""
        (there,) = self._database.execute("SELECT COUNT(*) FROM waiting WHERE channel = ?", (channel,)).fetchone()
        surplus = self._database.execute(
            "SELECT id, rank FROM waiting WHERE channel = ? ORDER BY rank, id LIMIT ?",
            (channel, max(there - self._most + 1, 0)),
        ).fetchall()
        for number, rank in surplus:
            self._database.execute("DELETE FROM waiting WHERE id = ?", (number,))
            self._count(channel, f"dropped {next(name for name, each in RANKS.items() if each == rank)}")

    def _leave(self, waiting: Waiting, what: str) -> None:
        with self._lock, self._database:
            gone = self._database.execute("DELETE FROM waiting WHERE id = ?", (waiting.id,)).rowcount
            if gone:  # not where it was given up for want of room while it was being sent
                self._count(waiting.channel, what)

    def _count(self, channel: str, what: str) -> None:
        self._database.execute(
            "INSERT INTO counted VALUES (?, ?, 1) ON CONFLICT (channel, what) DO UPDATE SET number = number + 1",
            (channel, what),
        )


def _prepared(database: sqlite3.Connection) -> None:
    database.executescript(SCHEMA)


def _sound(row: Mapping[str, Any]) -> bool:
    """Whether a row that was read from a damaged file is one of ours."""
    types = {"id": int, "channel": str, "rank": int, "noticed_s": float, "tries": int, "body": bytes, "progress": bytes}
    return all(isinstance(row.get(name), kind) for name, kind in types.items()) and row["rank"] in RANKS.values()
