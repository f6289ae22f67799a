"""Users, their sessions and their tokens, in one SQLite file that only its owner may read.

A session or token is 32 random bytes that the browser or program holds; here lies only their SHA-256, so a stolen file opens
no door. Sessions outlive a restart, end after a month, after a week without use, and with a change of password.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from edgekit.apps.web.security import passwords
from edgekit.apps.web.shell import ROLES, Role, User
from edgekit.core.errors import EdgekitError, InputError, NotFound

FILE = "accounts.sqlite"
FIRST = "admin"
TOKEN_PREFIX = "ek_"
DAY_S = 86_400
SESSION_S, IDLE_S = 30 * DAY_S, 7 * DAY_S
SEEN_EVERY_S = 600
"""A session's last use is written down this often: an SD card wears."""

LONGEST_NAME = 64
VERSION = 1
SCHEMA = """
create table if not exists users (
    name text primary key, role text not null, password text not null, made real not null);
create table if not exists sessions (
    hash text primary key, user text not null references users on delete cascade, made real not null, seen real not null);
create table if not exists tokens (
    hash text primary key, user text not null references users on delete cascade, label text not null, made real not null);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A program's access: `id` names it without opening anything."""

    id: str
    user: str
    label: str
    made: float


class Accounts:
    """The accounts in a folder, which is made when it is missing. Safe to use from several threads."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        """Raises `EdgekitError` when the file is damaged or cannot be written: nobody is let in then, and nobody made anew."""
        self._path, self._now, self._lock = folder / FILE, now, threading.Lock()
        with self._said_plainly():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._base = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._base.close()
                raise

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def first_password(self) -> str | None:
        """The password of the first user, admin, who is made when there are no users; None when there are."""
        if self.users():
            return None
        password = passwords.generated()
        self.add(FIRST, password, "admin")
        return password

    def users(self) -> tuple[User, ...]:
        """Everybody, by name."""
        rows = self._all("select name, role from users order by name")
        return tuple(User(name=name, role=cast(Role, role)) for name, role in rows)

    def add(self, name: str, password: str, role: Role) -> User:
        """A new user. Raises `InputError` for a name that is taken or odd, a role that is none, or a password too short."""
        passwords.check_new(password)
        if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()):
            raise InputError(f"{name[:LONGEST_NAME]!r} is no name for a user", f"1 to {LONGEST_NAME} printable characters")
        if role not in ROLES:
            raise InputError(f"there is no role {role!r}", f"one of {', '.join(ROLES)}")
        row = (name, role, passwords.hashed(password), self._now())
        try:
            self._run("insert into users values (?, ?, ?, ?)", *row)
        except sqlite3.IntegrityError as exc:
            raise InputError(f"there is a user {name!r} already", "choose another name") from exc
        return User(name=name, role=role)

    def remove(self, name: str) -> None:
        """End an account with its sessions and tokens. Raises `NotFound`, and `InputError` for the last admin."""
        self._known(name)
        if [user.name for user in self.users() if user.role == "admin"] == [name]:
            raise InputError(f"{name!r} is the only admin", "make another admin first")
        self._run("delete from users where name = ?", name)

    def set_password(self, name: str, password: str) -> None:
        """A new password; it ends all sessions of the user, but no tokens. Raises `NotFound` and `InputError`."""
        passwords.check_new(password)
        self._known(name)
        self._run("update users set password = ? where name = ?", passwords.hashed(password), name)
        self._run("delete from sessions where user = ?", name)

    def login(self, name: str, password: str) -> User | None:
        """The user, or None; as slow for a name that nobody has as for a wrong password."""
        found = self._all("select role, password from users where name = ?", name)
        stored = found[0][1] if found else _nobody()
        right = len(password) <= passwords.LONGEST and passwords.matches(password, stored)
        return User(name=name, role=cast(Role, found[0][0])) if found and right else None

    def open_session(self, user: User) -> str:
        """A new session; what the browser holds from now on."""
        secret, now = secrets.token_urlsafe(32), self._now()
        self._run("delete from sessions where made < ? or seen < ?", now - SESSION_S, now - IDLE_S)
        self._run("insert into sessions values (?, ?, ?, ?)", _hash(secret), user.name, now, now)
        return secret

    def session(self, secret: str) -> User | None:
        """Whose session this is, or None."""
        now = self._now()
        query = (
            "select name, role, seen from sessions join users on user = name where hash = ? and sessions.made > ? and seen > ?"
        )
        rows = self._all(query, _hash(secret), now - SESSION_S, now - IDLE_S)
        if not rows:
            return None
        name, role, seen = rows[0]
        if now - seen > SEEN_EVERY_S:
            self._run("update sessions set seen = ? where hash = ?", now, _hash(secret))
        return User(name=name, role=cast(Role, role))

    def close_session(self, secret: str) -> None:
        """Log out."""
        self._run("delete from sessions where hash = ?", _hash(secret))

    def new_token(self, name: str, label: str) -> str:
        """A token for programs, which is shown once and does what its user may. Raises `NotFound`."""
        self._known(name)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        self._run("insert into tokens values (?, ?, ?, ?)", _hash(secret), name, label[:LONGEST_NAME], self._now())
        return secret

    def token(self, secret: str) -> User | None:
        """Whose token this is, or None."""
        rows = self._all("select name, role from tokens join users on user = name where hash = ?", _hash(secret))
        return User(name=rows[0][0], role=cast(Role, rows[0][1])) if rows else None

    def tokens(self, name: str) -> tuple[Token, ...]:
        """A user's tokens, oldest first."""
        rows = self._all("select hash, user, label, made from tokens where user = ? order by made", name)
        return tuple(Token(id=key[:12], user=user, label=label, made=made) for key, user, label, made in rows)

    def remove_token(self, name: str, token_id: str) -> None:
        """End a token of a user's. Raises `NotFound`."""
        if token_id not in {token.id for token in self.tokens(name)}:
            raise NotFound(f"{name!r} has no token {token_id[:LONGEST_NAME]!r}")
        self._run("delete from tokens where user = ? and substr(hash, 1, 12) = ?", name, token_id)

    def _known(self, name: str) -> None:
        if not self._all("select 1 from users where name = ?", name):
            raise NotFound(f"there is no user {name[:LONGEST_NAME]!r}", f"there are: {', '.join(u.name for u in self.users())}")

    def _prepare(self) -> None:
        self._base.execute("pragma journal_mode = wal")
        self._base.execute("pragma foreign_keys = on")
        (version,) = self._base.execute("pragma user_version").fetchone()
        if version > VERSION:
            raise EdgekitError(f"{str(self._path)!r} was written by a later edgekit (version {version}, known is {VERSION})")
        self._base.executescript(f"{SCHEMA} pragma user_version = {VERSION};")

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._said_plainly(), self._lock:
            return self._base.execute(query, values).fetchall()

    def _run(self, query: str, *values: object) -> None:
        with self._said_plainly(), self._lock:
            self._base.execute(query, values)

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as exc:
            hint = "is the disk full, or the file damaged? move it away to start with a new admin"
            raise EdgekitError(f"the accounts in {str(self._path)!r} cannot be used: {exc}", hint) from exc


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@cache
def _nobody() -> str:
    """What a password is compared with when nobody has that name."""
    return passwords.hashed(secrets.token_urlsafe(16))
