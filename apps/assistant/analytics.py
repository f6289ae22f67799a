"""The log of queries: how many, how long, how fast, on this machine only. Nothing that was asked or answered is in it.

Fields have the names of llama-server's `timings`. Once the file has the size it may have, the oldest queries make room for new ones.
A log that cannot be written is said once and never stops an answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgekit.apps.assistant.database import Database, Full, is_sound, set_aside
from edgekit.core.errors import EdgekitError

log = logging.getLogger(__name__)
Clock = Callable[[], float]

BYTES = 64 << 20
MAKE_ROOM = 10
"""Where the log is full, one in so many of its queries goes, the oldest first."""
TRIES = 3
"""What goes may lie on pages that what stays needs as well: then more goes."""
KEEP_DAYS = 90.0
TIDY_S = 86_400.0
"""How often what is too old is forgotten while the server runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query. Times in ms, rates per second; None where it was not measured or does not apply."""

    at: float
    kind: str
    """chat, completion, embedding, or extract for what was quoted without a model."""
    source: str = "local"
    """local or fallback."""
    model: str = ""
    outcome: str = "stop"
    """How it ended: stop, length, cancelled, deadline, refused, or the kind of error."""
    queued_ms: float | None = None
    search_ms: float | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float | None = None
    prompt_per_second: float | None = None
    predicted_n: int = 0
    predicted_ms: float | None = None
    predicted_per_second: float | None = None
    rss_bytes: int | None = None
    available_bytes: int | None = None
    temperature_c: float | None = None
    bandwidth_share: float | None = None
    """Of what the board's memory can bring per second: the bytes that the answer's tokens needed."""


_COLUMNS = tuple(field.name for field in fields(Query))
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS queries({", ".join(_COLUMNS)});
CREATE INDEX IF NOT EXISTS queries_at ON queries(at);
CREATE TABLE IF NOT EXISTS settings(name TEXT PRIMARY KEY, value REAL NOT NULL);
"""
SUMMED = ("prompt_n", "predicted_n", "cache_n")
AVERAGED = (
    "ttft_ms", "total_ms", "search_ms", "queued_ms", "prompt_per_second", "predicted_per_second", "bandwidth_share",
    "temperature_c", "rss_bytes", "available_bytes",
)  # fmt: skip


class Log:
    """The log file; without a path nothing is kept. For any number of threads.

    `keep_days` None is what was chosen last, at first 90; 0 is for ever.
    """

    def __init__(
        self, path: Path | None, *, keep_days: float | None = None, max_bytes: int = BYTES, clock: Clock = time.time
    ) -> None:
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._on, self.keep_days = True, KEEP_DAYS if keep_days is None else keep_days
        self._clock, self._tidied_at = clock, clock()
        self.dropped = 0
        """How many queries could not be written down."""
        if path is not None:
            self._open(path, max_bytes, keep_days)

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._database is not None and self._on

    @property
    def can_be_on(self) -> bool:
        """Whether there is a file to keep anything in."""
        return self._database is not None

    def turn(self, on: bool) -> None:
        """Keep queries from now on, or no longer; remembered. What was kept stays until it is forgotten."""
        self._on = on
        self._set("on", float(on))

    def keep_for(self, days: float) -> None:
        """Forget what is older than so many days (0: nothing), now and at every start; remembered."""
        self.keep_days = days
        self._set("keep_days", days)
        if days > 0:
            self.forget(days)

    def add(self, query: Query) -> None:
        """Write one down. Never raises: an answer is worth more than its log."""
        if self._database is None or not self._on:
            return
        try:
            self._tidy()
            self._insert(self._database, query)
        except EdgekitError as exc:
            with self._lock:
                self.dropped += 1
                if self.dropped == 1:
                    log.warning("the log of queries is not written: %s", exc.message)

    def _insert(self, database: Database, query: Query) -> None:
        """Raises `Full` where the disk is: of its own size the log gives up what is oldest."""
        for _ in range(TRIES):
            try:
                _insert(database, query)
                return
            except Full:
                _forget_oldest(database)
        _insert(database, query)

    def _tidy(self) -> None:
        """Once a day, since a server may run for years."""
        with self._lock:
            due = self._clock() - self._tidied_at >= TIDY_S
            self._tidied_at = self._clock() if due else self._tidied_at
        if due and self.keep_days > 0:
            self.forget(self.keep_days)

    def recent(self, count: int = 100) -> list[dict[str, Any]]:
        """The last queries, the newest first."""
        return self._rows("SELECT * FROM queries ORDER BY at DESC LIMIT ?", (count,))

    def summary(self, since: float = 0.0) -> dict[str, Any]:
        """Counts, sums and means of the queries since then, with the slowest twentieth's bound for the first token."""
        chosen = "FROM queries WHERE at >= ?"
        sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in SUMMED)
        means = ", ".join(f"avg({name}) AS {name}" for name in AVERAGED)
        found = self._rows(f"SELECT count(*) AS queries, {sums}, {means} {chosen}", (since,))
        if not found:
            return {"queries": 0, "dropped": self.dropped}
        rest = {
            "ttft_p95_ms": self._slow(since),
            "by_source": self._by("source", since),
            "by_outcome": self._by("outcome", since),
        }
        return found[0] | rest | {"dropped": self.dropped}

    def _slow(self, since: float) -> float | None:
        """What 95 of 100 first tokens took at most."""
        chosen = "FROM queries WHERE at >= ? AND ttft_ms IS NOT NULL"
        (counted,) = self._rows(f"SELECT count(*) AS n {chosen}", (since,)) or [{"n": 0}]
        place = round(0.95 * (counted["n"] - 1))
        found = self._rows(f"SELECT ttft_ms {chosen} ORDER BY ttft_ms LIMIT 1 OFFSET ?", (since, max(place, 0)))
        return float(found[0]["ttft_ms"]) if found else None

    def _by(self, field: str, since: float) -> dict[str, int]:
        """How many there are of each."""
        rows = self._rows(f"SELECT {field} AS name, count(*) AS n FROM queries WHERE at >= ? GROUP BY 1", (since,))
        return {row["name"]: row["n"] for row in rows}

    def series(self, since: float, step_s: float) -> list[dict[str, Any]]:
        """The same per step of time, for charts: `at` is each step's beginning; steps without a query are left out."""
        sums = ", ".join(f"sum({name}) AS {name}" for name in SUMMED)
        means = ", ".join(f"avg({name}) AS {name}" for name in AVERAGED)
        sql = f"SELECT CAST(at / ? AS INTEGER) * ? AS at, count(*) AS queries, {sums}, {means} FROM queries WHERE at >= ? GROUP BY 1"
        return self._rows(f"{sql} ORDER BY 1", (step_s, step_s, since))

    def forget(self, older_than_days: float = 0.0) -> None:
        """Delete what is older; 0 deletes everything."""
        if self._database is not None:
            with self._database.writing() as run:
                run.execute("DELETE FROM queries WHERE at <= ?", (self._clock() - older_than_days * 86_400,))
            self._database.compact()

    def close(self) -> None:
        """Closing again does nothing."""
        if self._database is not None:
            self._database.close()

    def _set(self, name: str, value: float) -> None:
        if self._database is not None:
            with self._database.writing() as run:
                run.execute("INSERT OR REPLACE INTO settings VALUES(?, ?)", (name, value))

    def _chosen(self, name: str, otherwise: float) -> float:
        found = self._database.value("SELECT value FROM settings WHERE name=?", (name,)) if self._database is not None else None
        return otherwise if found is None else float(found)

    def _open(self, path: Path, max_bytes: int, keep_days: float | None) -> None:
        try:
            if not is_sound(path):
                log.warning("the log of queries was damaged: it is now %s, and begun anew", set_aside(path).name)
            self._database = Database(path, SCHEMA, max_bytes=max_bytes)
            self._on = bool(self._chosen("on", 1.0))
            self.keep_days = self._chosen("keep_days", KEEP_DAYS) if keep_days is None else keep_days
            if self.keep_days > 0:
                self.forget(self.keep_days)
        except EdgekitError as exc:
            log.warning("queries are not logged: %s", exc.message)

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [dict(row) for row in self._database.rows(sql, values)] if self._database is not None else []


def _insert(database: Database, query: Query) -> None:
    values = asdict(query)
    with database.writing() as run:
        run.execute(f"INSERT INTO queries VALUES({','.join('?' * len(_COLUMNS))})", [values[name] for name in _COLUMNS])


def _forget_oldest(database: Database) -> None:
    oldest = "SELECT rowid FROM queries ORDER BY at LIMIT (SELECT count(*) / ? + 1 FROM queries)"
    with database.writing() as run:
        run.execute(f"DELETE FROM queries WHERE rowid IN ({oldest})", (MAKE_ROOM,))


class Totals:
    """Sums since the start, for `/metrics`: kept in memory, also where the log is off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queries: Counter[tuple[str, str, str]] = Counter()
        self._sums: dict[str, float] = {}

    def add(self, query: Query) -> None:
        """One more."""
        with self._lock:
            self._queries[query.kind, query.source, query.outcome] += 1
            for name in (*SUMMED, "prompt_ms", "predicted_ms"):
                self._sums[name] = self._sums.get(name, 0.0) + (getattr(query, name) or 0)

    def queries(self) -> dict[tuple[str, str, str], int]:
        """How many of each kind, source and outcome."""
        with self._lock:
            return dict(self._queries)

    def sum(self, name: str) -> float:
        """The sum of a field."""
        with self._lock:
            return self._sums.get(name, 0.0)


def of_timings(timings: Mapping[str, float]) -> dict[str, Any]:
    """The fields of `Query` that an engine's timings hold."""
    return {name: timings[name] for name in _COLUMNS if name in timings}
