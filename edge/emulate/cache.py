"""What is made once and kept: root file systems, packages and cards, each in a folder named by the hash of what it is made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgekit.core.files import new_folder, said_plainly, sha256_bytes
from edgekit.core.locks import held


def folder() -> Path:
    """The user's cache folder for emulated boards."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "edgekit" / "emulate"


def key(of: Mapping[str, Any]) -> str:
    """The start of the hash of what something is made from."""
    return sha256_bytes(msgspec.json.encode(of, order="sorted"))[:16]


def made(kind: str, of: Mapping[str, Any], make: Callable[[Path], None], root: Path | None = None) -> Path:
    """The folder made from `of`: the one that is there, or a new one that `make` fills and that gets its name when it is whole.

    A second process that wants the same waits for the first.
    """
    place = root or folder()
    goal = place / f"{kind}-{key(of)}"
    with said_plainly(place):
        place.mkdir(parents=True, exist_ok=True)
        lock = place / f".{goal.name}.lock"
        lock.mkdir(exist_ok=True)
    with held(lock, wait=True):
        if goal.is_dir():
            return goal
        with new_folder(goal) as partial:
            make(partial)
            (partial / "made-from.json").write_bytes(msgspec.json.encode(of, order="sorted") + b"\n")
    return goal
