"""The journal of conversations: each step is written down there before it is taken, so that it can be taken again."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgekit.apps.assistant.database import Database, Full

log = logging.getLogger(__name__)


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the journal: something was said, begun, renamed or taken back. `id` is the message's or the conversation's."""

    do: Literal["new", "say", "rename", "unsay"]
    id: str
    conversation: str = msgspec.field(name="in", default="")
    at: float = 0.0
    title: str = ""
    owner: str = ""
    role: str = ""
    content: str = ""
    details: dict[str, Any] = {}


def note(journal: Path, step: Step) -> None:
    """Write it down, whole or not at all. Raises `Full`."""
    line = msgspec.json.encode(step) + b"\n"
    size = journal.stat().st_size if journal.exists() else 0
    try:
        with journal.open("ab") as file:
            journal.chmod(0o600)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        with suppress(OSError):
            os.truncate(journal, size)
        raise Full(f"{journal.name!r} cannot be written: {exc.strerror}", "is there space on the disk?") from exc


def steps(journal: Path) -> list[Step]:
    """What was written down, without lines that are damaged: the last one may be of a process that was killed in the middle of it."""
    if not journal.exists():
        return []
    lines = [line for line in journal.read_bytes().split(b"\n") if line]
    found = [step for line in lines if (step := _read(line)) is not None]
    if len(found) < len(lines):
        log.warning("%d of %d lines of %r cannot be read", len(lines) - len(found), len(lines), journal.name)
    return found


def _read(line: bytes) -> Step | None:
    """The step; None for a line that is damaged."""
    try:
        return msgspec.json.decode(line, type=Step)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def take(database: Database, step: Step) -> None:
    """One step of the journal, which may have been taken before."""
    with database.writing() as run:
        if step.do == "new":
            values = (step.id, step.title, step.owner, step.at, step.at)
            run.execute("INSERT OR IGNORE INTO conversations VALUES(?,?,?,?,?)", values)
        elif step.do == "rename":
            run.execute("UPDATE conversations SET title=? WHERE id=?", (step.title, step.id))
        elif step.do == "unsay":
            _unsay(run, step)
        elif run.execute("SELECT 1 FROM conversations WHERE id=?", (step.conversation,)).fetchone():  # it may be deleted since
            _say(run, step)


def _unsay(run: sqlite3.Connection, step: Step) -> None:
    since = "SELECT later.id FROM messages AS later JOIN messages AS first ON first.id=? WHERE later.conversation=?"
    since += " AND first.conversation=later.conversation AND (later.at, later.rowid) >= (first.at, first.rowid)"
    for (one,) in run.execute(since, (step.id, step.conversation)).fetchall():
        run.execute("DELETE FROM said WHERE message=?", (one,))
        run.execute("DELETE FROM messages WHERE id=?", (one,))


def _say(run: sqlite3.Connection, step: Step) -> None:
    details = json.dumps(step.details, ensure_ascii=False)
    message = (step.id, step.conversation, step.at, step.role, step.content, details)
    if run.execute("INSERT OR IGNORE INTO messages VALUES(?,?,?,?,?,?)", message).rowcount:
        run.execute("INSERT INTO said(content, message) VALUES(?,?)", (step.content, step.id))
        title = " ".join(step.content.split())[:60] if step.role == "user" else ""
        run.execute("UPDATE conversations SET title=? WHERE id=? AND title=''", (title, step.conversation))
        run.execute("UPDATE conversations SET changed_at=max(changed_at, ?) WHERE id=?", (step.at, step.conversation))
