"""Passwords: made, hashed with scrypt, compared. What is stored says how it was made, so the cost can grow later."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from edgekit.core.errors import InputError

SHORTEST, LONGEST = 12, 1024
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without what is mistaken for something else: l, o, 0, 1. Thirty-two signs are five bits each."""

GROUPS, GROUP = 4, 5


@dataclass(frozen=True, slots=True)
class Cost:
    """scrypt's parameters. These take 16 MiB and a fifth of a second on a desktop: OWASP's advice, for small boards."""

    n: int = 2**14
    r: int = 8
    p: int = 5


def generated() -> str:
    """A password of 100 random bits that can be read aloud."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def check_new(password: str) -> None:
    """Raise `InputError` when `password` is too short, or too long to be one."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(f"the password has {len(password)} characters, it needs {SHORTEST} to {LONGEST}")


def hashed(password: str, cost: Cost | None = None) -> str:
    """`scrypt$n$r$p$salt$key`, the last two in base64."""
    cost, salt = cost or Cost(), secrets.token_bytes(16)
    parts = (base64.b64encode(part).decode() for part in (salt, _key(password, salt, cost)))
    return "$".join(("scrypt", str(cost.n), str(cost.r), str(cost.p), *parts))


def matches(password: str, stored: str) -> bool:
    """Whether `password` is the one that `stored` was made of; takes as long for a wrong one."""
    _, n, r, p, salt, key = stored.split("$")
    found = _key(password, base64.b64decode(salt), Cost(int(n), int(r), int(p)))
    return hmac.compare_digest(found, base64.b64decode(key))


def _key(password: str, salt: bytes, cost: Cost) -> bytes:
    memory = 256 * cost.n * cost.r
    return hashlib.scrypt(password.encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=memory, dklen=32)
