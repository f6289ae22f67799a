"""A saved conversation on disk: the engine's own bytes, and behind them a line that says whose they are.

Engines check little of what they load, so a state of another model, engine, version or context is refused before they see it. They
read the file as it is, and leave what stands behind their own alone: nothing is copied, which takes a card seconds.
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

MAGIC = b" edgekit-text-state 2"
_LENGTH = 8
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
    """Make the engine's file `raw` the state at `path`, whole or not at all, for its owner alone to read."""
    head = StateHead(engine=owner.engine, version=owner.version, model=owner.model, context=owner.context, tokens=tokens)
    with said_plainly(path):
        raw.chmod(0o600)
        line = msgspec.json.encode(msgspec.structs.replace(head, sha256=_digest(head, raw, raw.stat().st_size)))
        with raw.open("ab") as file:
            file.write(line + len(line).to_bytes(_LENGTH, "little") + MAGIC)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            Path(shutil.move(raw, Path(folder) / path.name)).replace(path)
    return SavedState(path=path, tokens=len(tokens), bytes=path.stat().st_size)


def unpack(path: Path, owner: Owner) -> tuple[int, ...]:
    """The tokens of a state that the engine may read from `path`. Raises `InputError` for one that is not this session's."""
    if not path.is_file():
        raise NotFound(f"no saved conversation at {str(path)!r}")
    head, size = _head(path)
    _ensure_own(head, owner, path)
    if _digest(head, path, size) != head.sha256:
        raise InputError(f"{path.name!r} is damaged: its hash is not the one it was saved with", AGAIN)
    return head.tokens


def tokens_in(path: Path) -> tuple[int, ...]:
    """The tokens that a saved conversation stands for, by its last line. Raises `InputError`, and `OSError`."""
    return _head(path)[0].tokens


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


def _head(path: Path) -> tuple[StateHead, int]:
    """The last line, and how many bytes stand before it."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END) - len(MAGIC) - _LENGTH
        file.seek(max(end, 0))
        length, magic = int.from_bytes(file.read(_LENGTH), "little"), file.read()
        if end < 0 or magic != MAGIC or length > min(end, LONGEST_LINE):
            raise InputError(f"{path.name!r} is no saved conversation", AGAIN)
        file.seek(end - length)
        line = file.read(length)
    try:
        return msgspec.json.decode(line, type=StateHead), end - length
    except msgspec.MsgspecError as exc:
        raise InputError(f"{path.name!r} is damaged: {exc}", AGAIN) from exc


def _digest(head: StateHead, path: Path, size: int) -> str:
    """Of the head, and of the first `size` bytes of the file."""
    digest = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(head, sha256="")))
    with path.open("rb") as file:
        while piece := file.read(min(size, 1 << 20)):
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()
