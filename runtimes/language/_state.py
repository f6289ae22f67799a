"""A saved conversation on disk: one line that says whose it is, then the engine's own bytes.

Engines check little of what they load, so a state of another model, engine or context is refused before they see it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import said_plainly, sha256_file
from edgekit.runtimes.text import SavedState

MAGIC = b"edgekit-text-state 1 "
LONGEST_LINE = 1 << 22
_SAMPLE_BYTES = 1 << 20


class StateHead(msgspec.Struct, frozen=True, kw_only=True):
    """Whose state it is, and the tokens it stands for."""

    engine: str
    model: str
    tokens: tuple[int, ...]
    sha256: str


def fingerprint(model: Path) -> str:
    """What tells models apart without reading gigabytes: the file's size, and a hash of its beginning and its end."""
    size = model.stat().st_size
    with model.open("rb") as file:
        digest = hashlib.sha256(file.read(_SAMPLE_BYTES))
        file.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return f"{size}-{digest.hexdigest()[:32]}"


def pack(path: Path, raw: Path, engine: str, model: str, tokens: tuple[int, ...]) -> SavedState:
    """Write the state in `raw`, the engine's own file, to `path`, whole or not at all."""
    head = StateHead(engine=engine, model=model, tokens=tokens, sha256=sha256_file(raw))
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file, raw.open("rb") as source:
                file.write(MAGIC + msgspec.json.encode(head) + b"\n")
                shutil.copyfileobj(source, file, 1 << 20)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    return SavedState(path=path, tokens=len(tokens), bytes=path.stat().st_size)


def unpack(path: Path, raw: Path, engine: str, model: str) -> tuple[int, ...]:
    """Write the engine's own bytes to `raw` and give the tokens. Raises `InputError` for a state that is not this session's."""
    if not path.is_file():
        raise NotFound(f"no saved conversation at {str(path)!r}")
    with path.open("rb") as file:
        head = _head(file.readline(LONGEST_LINE), path)
        if (head.engine, head.model) != (engine, model):
            whose = "another model" if head.engine == engine else f"the engine {head.engine}"
            raise InputError(f"{path.name!r} was saved with {whose}", "the conversation is read again instead")
        with raw.open("wb") as goal:
            shutil.copyfileobj(file, goal, 1 << 20)
    if sha256_file(raw) != head.sha256:
        raise InputError(f"{path.name!r} is damaged: its hash is not the one it was saved with")
    return head.tokens


def _head(line: bytes, path: Path) -> StateHead:
    try:
        if line.startswith(MAGIC):
            return msgspec.json.decode(line.removeprefix(MAGIC), type=StateHead)
    except msgspec.MsgspecError:
        pass
    raise InputError(f"{path.name!r} is no saved conversation")
