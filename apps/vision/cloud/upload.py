"""One file on its way to another place: what lies in the outbox of it, and the name it gets there."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import msgspec

from edgekit.core.errors import InputError


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is the file here, `key` its name there."""

    path: str
    key: str


def key_of(prefix: str, camera: str, path: Path, at_s: float) -> str:
    """`PREFIX/CAMERA/YYYY-MM-DD/NAME`, the day in UTC."""
    day = datetime.fromtimestamp(at_s, tz=timezone.utc).strftime("%Y-%m-%d")
    return "/".join(part for part in (prefix, camera, day, path.name) if part)


def encoded(upload: Upload) -> bytes:
    """As it lies in the outbox."""
    return msgspec.json.encode(upload)


def decoded(body: bytes) -> Upload:
    """Raises `InputError` for what is no upload."""
    try:
        return msgspec.json.decode(body, type=Upload)
    except msgspec.MsgspecError as exc:
        raise InputError(f"the outbox holds something that is no upload: {exc}") from exc
