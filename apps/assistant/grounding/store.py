"""The index of documents in SQLite: their texts, their chunks, the chunks' words (FTS5) and vectors."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edgekit.apps.assistant.database import Database, is_sound, set_aside
from edgekit.apps.assistant.documents.folder import Found
from edgekit.apps.assistant.documents.text import Text
from edgekit.apps.assistant.grounding.chunks import Chunk
from edgekit.apps.assistant.grounding.words import Apart, taken_apart

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents(
  id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, title TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL, indexed_at REAL NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refused(path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS chunks(
  id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  start INTEGER NOT NULL, stop INTEGER NOT NULL, page INTEGER NOT NULL, headings TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS chunks_of ON chunks(document);
CREATE TABLE IF NOT EXISTS sentences(
  chunk INTEGER PRIMARY KEY REFERENCES chunks(id) ON DELETE CASCADE, apart BLOB NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(headings, body, tokenize="porter unicode61 remove_diacritics 2");
"""
HEADINGS, BODY = 0.5, 1.0
"""What a word counts in the headings above a chunk, and in the chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A document in the index."""

    path: str
    title: str
    sha256: str
    bytes: int
    modified_ns: int
    chunks: int
    indexed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A chunk that was found. `text` is characters `start` to `end` of the document's text; `page` is 0 where there are none."""

    chunk: int
    path: str
    title: str
    headings: tuple[str, ...]
    page: int
    start: int
    end: int
    text: str
    apart: Apart = field(repr=False)
    """The sentences of `text` with their words."""


class Store:
    """The index file. What is in it can be made again from the documents, so a damaged one is set aside and begun anew."""

    def __init__(self, path: Path) -> None:
        self.set_aside = None if is_sound(path) else set_aside(path)
        self._database = Database(path, SCHEMA)

    def prepare(self, maker: str) -> bool:
        """Whether the index was made by `maker`, the name of embedder and cutting; else every document is to be read again."""
        if self._database.value("SELECT value FROM settings WHERE name='maker'") == maker:
            return True
        with self._database.writing() as run:
            run.execute("UPDATE documents SET sha256='', modified_ns=-1")
            run.execute("UPDATE chunks SET vector=x''")  # those of another embedder say nothing to this one
            run.execute("DELETE FROM refused")
            run.execute("INSERT OR REPLACE INTO settings VALUES('maker', ?)", (maker,))
        return False

    def documents(self) -> tuple[Indexed, ...]:
        """All documents by path."""
        rows = self._database.rows(
            "SELECT path, title, sha256, bytes, modified_ns, indexed_at,"
            " (SELECT count(*) FROM chunks WHERE document=documents.id) AS chunks FROM documents ORDER BY path"
        )
        return tuple(Indexed(**dict(row)) for row in rows)

    def refused(self) -> dict[str, tuple[Found, str, str]]:
        """Files that could not be read, by path: as they were found, their hash and why."""
        rows = self._database.rows("SELECT path, bytes, modified_ns, sha256, reason FROM refused ORDER BY path")
        return {row[0]: (Found(path=row[0], bytes=row[1], modified_ns=row[2]), row[3], row[4]) for row in rows}

    def put(self, found: Found, sha256: str, document: Text, cut: Sequence[Chunk], vectors: Sequence[bytes]) -> None:
        """The document in place of what was there under its path, in one transaction."""
        with self._database.writing() as run:
            _remove(run, found.path)
            row = (found.path, document.title, sha256, found.bytes, found.modified_ns, time.time(), document.text)
            columns = "path, title, sha256, bytes, modified_ns, indexed_at, text"
            owner = run.execute(f"INSERT INTO documents({columns}) VALUES(?,?,?,?,?,?,?)", row).lastrowid
            for chunk, vector in zip(cut, vectors, strict=True):
                headings = json.dumps(chunk.headings, ensure_ascii=False)
                values = (owner, chunk.start, chunk.end, chunk.page, headings, vector)
                columns = "document, start, stop, page, headings, vector"
                key = run.execute(f"INSERT INTO chunks({columns}) VALUES(?,?,?,?,?,?)", values).lastrowid
                text = document.text[chunk.start : chunk.end]
                run.execute("INSERT INTO words(rowid, headings, body) VALUES(?,?,?)", (key, " ".join(chunk.headings), text))
                run.execute("INSERT INTO sentences(chunk, apart) VALUES(?,?)", (key, msgspec.msgpack.encode(taken_apart(text))))
            _revise(run)

    def touch(self, found: Found) -> None:
        """The document is what it was, under another date."""
        with self._database.writing() as run:
            run.execute(
                "UPDATE documents SET bytes=?, modified_ns=? WHERE path=?", (found.bytes, found.modified_ns, found.path)
            )

    def refuse(self, found: Found, sha256: str, reason: str) -> None:
        """The file cannot be read; what was there under its path goes."""
        with self._database.writing() as run:
            _remove(run, found.path)
            values = (found.path, sha256, found.bytes, found.modified_ns, reason)
            run.execute("INSERT OR REPLACE INTO refused(path, sha256, bytes, modified_ns, reason) VALUES(?,?,?,?,?)", values)
            _revise(run)

    def drop(self, path: str) -> None:
        """The document is gone."""
        with self._database.writing() as run:
            _remove(run, path)
            _revise(run)

    def revision(self) -> int:
        """A number that changes with every document."""
        return int(self._database.value("SELECT value FROM settings WHERE name='revision'") or 0)

    def text_of(self, path: str) -> str | None:
        """The whole text of a document."""
        found = self._database.value("SELECT text FROM documents WHERE path=?", (path,))
        return None if found is None else str(found)

    def identity(self) -> str:
        """A name that no other store has, nor the one that is begun in place of a damaged one: its chunks have the same ids."""
        known = "SELECT value FROM settings WHERE name='identity'"
        if self._database.value(known) is None:
            with self._database.writing() as run:
                run.execute("INSERT OR IGNORE INTO settings VALUES('identity', ?)", (uuid.uuid4().hex,))
        return str(self._database.value(known))

    def vectors(self, after: int = 0, most: int = -1) -> tuple[list[int], list[bytes]]:
        """Ids of the chunks that came after that one, in order, `most` at most, and their vectors; empty where yet to be made."""
        rows = self._database.rows("SELECT id, vector FROM chunks WHERE id > ? ORDER BY id LIMIT ?", (after, most))
        return [row[0] for row in rows], [row[1] for row in rows]

    def ids(self) -> list[int]:
        """The ids of all chunks, in order."""
        return [row[0] for row in self._database.rows("SELECT id FROM chunks ORDER BY id")]

    def matching(self, expression: str, top: int, among: Sequence[int] | None = None) -> list[int]:
        """Ids of the chunks that match an FTS5 expression, best by BM25 first; only of those in `among`, if it is given."""
        # The plus keeps SQLite from looking up one row after the other.
        narrowed = "" if among is None else " AND +rowid IN (SELECT value FROM json_each(?))"
        sql = f"SELECT rowid FROM words WHERE words MATCH ?{narrowed} ORDER BY bm25(words, {HEADINGS}, {BODY}), rowid LIMIT ?"
        values = (expression, *(() if among is None else (json.dumps(among),)), top)
        return [row[0] for row in self._database.rows(sql, values)]

    def having(self, expression: str) -> list[int]:
        """Ids of the chunks that match an FTS5 expression, in no order."""
        return [row[0] for row in self._database.rows("SELECT rowid FROM words WHERE words MATCH ?", (expression,))]

    def optimise(self) -> None:
        """Bring the words into one piece, after many documents came and went: searching takes two thirds of the time then."""
        with self._database.writing() as run:
            run.execute("INSERT INTO words(words) VALUES('optimize')")

    def frequencies(self, words: Iterable[str]) -> dict[str, int]:
        """How many chunks have each word, in whatever form the stemmer brings to the same stem."""
        sql = "SELECT count(*) FROM words WHERE words MATCH ?"
        return {word: int(self._database.value(sql, (f'"{word}"',))) for word in set(words)}

    def document_count(self) -> int:
        """How many documents there are."""
        return int(self._database.value("SELECT count(*) FROM documents"))

    def count(self) -> int:
        """How many chunks there are."""
        return int(self._database.value("SELECT count(*) FROM chunks"))

    def passages(self, chunks: Sequence[int]) -> dict[int, Passage]:
        """The chunks with these ids, as far as they are there."""
        sql = (
            # Its text lies beside its words: cut out of the document's, which may be long, it would take milliseconds.
            "SELECT chunks.id AS chunk, path, title, chunks.headings AS headings, page, start, stop AS end, body AS text,"
            " apart FROM chunks JOIN documents ON document=documents.id JOIN words ON words.rowid=chunks.id"
            " LEFT JOIN sentences ON sentences.chunk=chunks.id"
            f" WHERE chunks.id IN ({','.join('?' * len(chunks))})"
        )
        return {row["chunk"]: _passage(dict(row)) for row in self._database.rows(sql, chunks)}

    def close(self) -> None:
        """Closing again does nothing."""
        self._database.close()


def _passage(row: dict[str, Any]) -> Passage:
    """A row as a value. An index of an older version has no sentences until its documents are read again."""
    apart = msgspec.msgpack.decode(row["apart"], type=Apart) if row["apart"] else taken_apart(row["text"])
    return Passage(**row | {"headings": tuple(json.loads(row["headings"])), "apart": apart})


def _remove(run: sqlite3.Connection, path: str) -> None:
    execute = run.execute
    execute(
        "DELETE FROM words WHERE rowid IN (SELECT id FROM chunks WHERE document=(SELECT id FROM documents WHERE path=?))",
        (path,),
    )
    execute("DELETE FROM documents WHERE path=?", (path,))
    execute("DELETE FROM refused WHERE path=?", (path,))


def _revise(run: sqlite3.Connection) -> None:
    run.execute("INSERT INTO settings VALUES('revision', 1) ON CONFLICT(name) DO UPDATE SET value=value+1")
