"""What comes over the wire, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edgekit.core.errors import EdgekitError


class Unreachable(EdgekitError):
    """The server does not answer, or not this credential."""


class Conflict(EdgekitError):
    """Somebody else wrote in between: read again, and decide again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key's value with its revision, and when the server took it, in seconds (by the server's clock)."""

    key: str
    value: bytes
    revision: int
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An artifact's file as an object: which chunks it is made of."""

    sha256: str
    nuid: str
    bytes: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of an object, and its place in the stream."""

    sequence: int
    data: bytes


def seconds(stamp: str) -> float:
    """The server's time stamp (RFC 3339 with nanoseconds, UTC) in seconds; 0 for what is none."""
    head, _, rest = stamp.removesuffix("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{rest or '0'}")
    except ValueError:
        return 0.0
