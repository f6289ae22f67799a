"""Conversations on disk: kept, searched, exported, deleted, and not lost.

Beside the database lie a copy of it (`.backup`) and a journal of what was said since that copy. A damaged database is set aside and
made again from the two. Deleting leaves the words in neither.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.apps.assistant.database import Database, Full, is_sound, set_aside
from edgekit.apps.assistant.journal import Step, note, steps, take
from edgekit.core.errors import NotFound

log = logging.getLogger(__name__)
Clock = Callable[[], float]

SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations(
  id TEXT PRIMARY KEY, title TEXT NOT NULL, owner TEXT NOT NULL, made_at REAL NOT NULL, changed_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS messages(
  id TEXT PRIMARY KEY, conversation TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE, at REAL NOT NULL,
  role TEXT NOT NULL, content TEXT NOT NULL, details TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS messages_of ON messages(conversation, at);
CREATE VIRTUAL TABLE IF NOT EXISTS said USING fts5(content, message UNINDEXED, tokenize="unicode61 remove_diacritics 2");
"""
_LISTED = "SELECT *, (SELECT count(*) FROM messages WHERE conversation=conversations.id) AS messages FROM conversations"
TIDY_S = 86_400.0
WORDS = 32
"""Words that are searched for at once: SQLite takes no expression of thousands."""
JOURNAL_LINES = 200
"""After so many the database is copied again and the journal begun anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation; times are seconds since 1970."""

    id: str
    title: str
    owner: str
    made_at: float
    changed_at: float
    messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message; `details` is what else is known of it: citations, timings, where it came from."""

    id: str
    conversation: str
    at: float
    role: str
    content: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A message that was found, with the words around what was searched for."""

    conversation: str
    title: str
    message: str
    role: str
    excerpt: str


class Conversations:
    """All conversations of one installation. For any number of threads; each user (`owner`) sees their own."""

    def __init__(self, path: Path, *, keep_days: float = 0, max_bytes: int = 0, clock: Clock = time.time) -> None:
        """`keep_days` 0 keeps them for ever. A damaged database is mended; `mended` says from what, else it is empty."""
        self._path, self._lock = path, threading.RLock()
        self._backup = path.with_name(f"{path.name}.backup")
        self._journal = path.with_name(f"{path.name}.journal")
        self.mended = self._mend()
        self._database = Database(path, SCHEMA, max_bytes=max_bytes)
        self._lines = self._journal.read_bytes().count(b"\n") if self._journal.exists() else 0
        try:
            for step in steps(self._journal):
                take(self._database, step)
            if self._lines or not self._backup.exists():
                self._checkpoint()
        except Full as exc:
            log.warning("conversations: %s; what was said last stays in the journal", exc.message)
        self._keep_days, self._clock, self._tidied_at = keep_days, clock, clock()
        self.on_forget: Callable[[Sequence[str]], None] | None = None
        """Called with the ids of conversations that were deleted."""
        self.forget_older_than(keep_days)

    def new(self, owner: str, title: str = "") -> Conversation:
        """An empty conversation. Once a day what is too old is forgotten then, since a server may run for years."""
        now = self._clock()
        if now - self._tidied_at >= TIDY_S:
            self._tidied_at = now
            self.forget_older_than(self._keep_days)
        made = Conversation(id=uuid.uuid4().hex, title=title, owner=owner, made_at=now, changed_at=now)
        self._do(Step(do="new", id=made.id, title=title, owner=owner, at=now))
        return made

    def say(self, conversation: str, role: str, content: str, details: Mapping[str, Any] | None = None) -> Said:
        """Add a message. The first question names a conversation without a title."""
        if not self.exists(conversation):
            raise NotFound(f"there is no conversation {conversation[:40]!r}")
        said = Said(
            id=uuid.uuid4().hex,
            conversation=conversation,
            at=self._clock(),
            role=role,
            content=content,
            details=dict(details or {}),
        )
        details = dict(said.details)
        self._do(Step(do="say", id=said.id, conversation=conversation, role=role, content=content, details=details, at=said.at))
        return said

    def take_back(self, conversation: str, first: str) -> None:
        """Delete the message `first` and those after it, as if they had not been said."""
        self._do(Step(do="unsay", id=first, conversation=conversation))

    def rename(self, conversation: str, title: str) -> None:
        """Give it another title."""
        self._do(Step(do="rename", id=conversation, title=title, at=self._clock()))

    def list(self, owner: str) -> tuple[Conversation, ...]:
        """The owner's conversations, the last used first."""
        rows = self._database.rows(f"{_LISTED} WHERE owner=? ORDER BY changed_at DESC, id", (owner,))
        return tuple(Conversation(**dict(row)) for row in rows)

    def get(self, conversation: str, owner: str) -> Conversation:
        """The conversation. Raises `NotFound` when there is none, or it is somebody else's."""
        rows = self._database.rows(f"{_LISTED} WHERE owner=? AND id=?", (owner, conversation))
        if not rows:
            raise NotFound(f"there is no conversation {conversation[:40]!r}")
        return Conversation(**dict(rows[0]))

    def exists(self, conversation: str) -> bool:
        """Whether there is such a conversation, whoever's."""
        return self._database.value("SELECT 1 FROM conversations WHERE id=?", (conversation,)) is not None

    def ids(self) -> frozenset[str]:
        """Of all conversations, whoever's."""
        return frozenset(row[0] for row in self._database.rows("SELECT id FROM conversations"))

    def messages(self, conversation: str) -> tuple[Said, ...]:
        """What was said in it, in order."""
        rows = self._database.rows("SELECT * FROM messages WHERE conversation=? ORDER BY at, rowid", (conversation,))
        return tuple(Said(**dict(row) | {"details": json.loads(row["details"])}) for row in rows)

    def search(self, owner: str, words: str, top: int = 50) -> tuple[Match, ...]:
        """Messages that have all the words (the last may be unfinished), best first."""
        asked = re.findall(r"\w+", words)[:WORDS]
        if not asked:
            return ()
        expression = " ".join(f'"{word}"' for word in asked) + "*"
        sql = (
            "SELECT conversation, title, message, role, snippet(said, 0, '', '', '…', 16) AS excerpt FROM said"
            " JOIN messages ON messages.id=message JOIN conversations ON conversations.id=conversation"
            " WHERE said MATCH ? AND owner=? ORDER BY rank LIMIT ?"
        )
        return tuple(Match(**dict(row)) for row in self._database.rows(sql, (expression, owner, top)))

    def export(self, owner: str, conversation: str = "") -> dict[str, Any]:
        """One conversation, or all, as plain values."""
        chosen = [self.get(conversation, owner)] if conversation else self.list(owner)
        return {"conversations": [self._exported(one) for one in chosen]}

    def _exported(self, one: Conversation) -> dict[str, Any]:
        said = [{"role": m.role, "content": m.content, "at": m.at, **m.details} for m in self.messages(one.id)]
        return {"id": one.id, "title": one.title, "made_at": one.made_at, "changed_at": one.changed_at, "messages": said}

    def delete(self, conversation: str, owner: str) -> None:
        """Delete it, from the copy and the journal as well. Raises `NotFound`."""
        self.get(conversation, owner)
        self._forget([conversation])

    def delete_all(self, owner: str) -> int:
        """Delete all of the owner's conversations; how many there were."""
        ids = [one.id for one in self.list(owner)]
        self._forget(ids)
        return len(ids)

    def forget_older_than(self, days: float) -> int:
        """Delete what was last used more than so many days ago (0: nothing); how many that were."""
        if days <= 0:
            return 0
        rows = self._database.rows("SELECT id FROM conversations WHERE changed_at < ?", (self._clock() - days * 86_400,))
        self._forget([row[0] for row in rows])
        return len(rows)

    def close(self) -> None:
        """Closing again does nothing."""
        self._database.close()

    def _do(self, step: Step) -> None:
        """Write the step down, then take it. Raises `Full` without room: written down, it is taken at the next start."""
        with self._lock:
            note(self._journal, step)
            take(self._database, step)
            self._lines += 1
            if self._lines >= JOURNAL_LINES:
                with suppress(Full):  # the journal goes on growing until there is room for a copy
                    self._checkpoint()

    def _forget(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        with self._lock:
            with self._database.writing() as run:
                for one in ids:
                    run.execute("DELETE FROM said WHERE message IN (SELECT id FROM messages WHERE conversation=?)", (one,))
                    run.execute("DELETE FROM conversations WHERE id=?", (one,))
                run.execute("INSERT INTO said(said) VALUES('optimize')")
            self._database.compact()
            self._checkpoint()
        if self.on_forget is not None:
            self.on_forget(ids)

    def _checkpoint(self) -> None:
        with self._lock:
            self._database.copy_to(self._backup)
            self._journal.unlink(missing_ok=True)
            self._lines = 0

    def _mend(self) -> str:
        """Put the copy in the place of a damaged database; what has been said since is in the journal."""
        if is_sound(self._path):
            return ""
        aside = set_aside(self._path)
        copied = self._backup.exists() and is_sound(self._backup)
        if copied:
            shutil.copyfile(self._backup, self._path)
        said = f"{self._path.name!r} was damaged: it is now {aside.name!r}, and was made again from "
        said += "its copy and journal" if copied else "its journal alone"
        log.warning("%s", said)
        return said
