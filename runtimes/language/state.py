"""A saved conversation on disk: one line that says whose it is, then the engine's own bytes.

Engines check little of what they load, so a state of another model, engine, version or context is refused before they see it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import said_plainly
from edgekit.runtimes.text import SavedState

MAGIC = b"edgekit-text-state 2 "
LONGEST_LINE = 1 << 22
AGAIN = "the conversation is read again instead"
_SAMPLE_BYTES = 1 << 20


class StateHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose state it is, and the tokens it stands for. `sha256` is of these and of the engine's bytes."""

    engine: str
    version: str
    model: str
    context: int
    tokens: tuple[int, ...]
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The session that saves or restores: `model` is its file's fingerprint, `context` its room in tokens."""

    engine: str
    version: str
    model: str
    context: int


def fingerprint(model: Path) -> str:
    """What tells models apart without reading gigabytes: the file's size, and a hash of its beginning and its end."""
    size = model.stat().st_size
    with model.open("rb") as file:
        digest = hashlib.sha256(file.read(_SAMPLE_BYTES))
        file.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return f"{size}-{digest.hexdigest()[:32]}"


def pack(path: Path, raw: Path, owner: Owner, tokens: tuple[int, ...]) -> SavedState:
    """Write the state in `raw`, the engine's own file, to `path`, whole or not at all, for its owner alone to read."""
    head = StateHead(engine=owner.engine, version=owner.version, model=owner.model, context=owner.context, tokens=tokens)
    head = msgspec.structs.replace(head, sha256=_digest(head, raw))
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


def unpack(path: Path, raw: Path, owner: Owner) -> tuple[int, ...]:
    """Write the engine's own bytes to `raw` and give the tokens. Raises `InputError` for a state that is not this session's."""
    if not path.is_file():
        raise NotFound(f"no saved conversation at {str(path)!r}")
    with path.open("rb") as file:
        head = _head(file.readline(LONGEST_LINE), path)
        _ensure_own(head, owner, path)
        with said_plainly(raw), raw.open("wb") as goal:
            shutil.copyfileobj(file, goal, 1 << 20)
    if _digest(head, raw) != head.sha256:
        raise InputError(f"{path.name!r} is damaged: its hash is not the one it was saved with", AGAIN)
    return head.tokens


def tokens_in(path: Path) -> tuple[int, ...]:
    """The tokens that a saved conversation stands for, by its first line. Raises `InputError`, and `OSError`."""
    with path.open("rb") as file:
        return _head(file.readline(LONGEST_LINE), path).tokens


def _ensure_own(head: StateHead, owner: Owner, path: Path) -> None:
    whose = ""
    if head.engine != owner.engine:
        whose = f"the engine {head.engine}"
    elif head.model != owner.model:
        whose = "another model"
    elif head.version != owner.version:
        whose = f"another version of {head.engine}, {head.version}"
    elif head.context != owner.context:
        whose = f"a context of {head.context} tokens, not {owner.context}"
    if whose:
        raise InputError(f"{path.name!r} was saved with {whose}", AGAIN)


def _head(line: bytes, path: Path) -> StateHead:
    try:
        if line.startswith(MAGIC):
            return msgspec.json.decode(line.removeprefix(MAGIC), type=StateHead)
    except msgspec.MsgspecError:
        pass
    raise InputError(f"{path.name!r} is no saved conversation", AGAIN)


def _digest(head: StateHead, raw: Path) -> str:
    digest = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(head, sha256="")))
    with raw.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
