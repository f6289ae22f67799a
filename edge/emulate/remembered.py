"""What passed on an emulated board is not asked again while all that it hangs on is the same: the board's wheels and system, the
artifacts, the emulator, and what this machine compares with."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

import edgekit
from edgekit.benchmark.conditions.environment import cpu_model
from edgekit.core.files import write_atomically
from edgekit.core.schema import Value
from edgekit.emulate import cache as kept
from edgekit.emulate.gate import Check
from edgekit.emulate.limits import Limits
from edgekit.emulate.qemu import Guest

COMPARED_WITH = ("numpy", "onnxruntime", "ai-edge-litert")
"""This machine's packages that answer what the board's are compared with."""
_SOURCES = (".py", ".yaml")


class Found(Value, frozen=True, kw_only=True):
    """What was found; `since` is the day when it was, where it was not asked anew."""

    checks: tuple[Check, ...]
    versions: Mapping[str, str]
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a board, as far as the answer hangs on it."""

    guest: Guest
    limits: Limits
    qemu: tuple[int, int]
    artifacts: tuple[str, ...]
    app: str = ""
    picture: str = ""
    """The hashes of the artifacts and of the picture."""

    @property
    def about(self) -> dict[str, Any]:
        """Everything, for a hash. Systems and packages lie in folders that are named by what they are made from."""
        return {
            "core": self.guest.core.model,
            "made": [path.parent.name for path in (self.guest.tree, self.guest.packages[-1])],
            "environment": dict(self.guest.environment),
            "limits": asdict(self.limits),
            "qemu": self.qemu,
            "asked": [*self.artifacts, self.app, self.picture],
            "edgekit": own_source(),
            "here": [platform.python_version(), _processor(), *map(_version, COMPARED_WITH)],
        }


def remembered(question: Question, ask: Callable[[], Found], *, again: bool = False) -> Found:
    """What passed before, else what `ask` finds, which is kept when all of it passed. What failed is asked each time."""
    place = kept.folder() / f"passed-{kept.key(question.about)}.json"
    if not again:
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(place.read_bytes(), type=Found)
    found = ask()
    if all(check.ok for check in found.checks):
        today = datetime.now(timezone.utc).date().isoformat()
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, msgspec.json.encode(msgspec.structs.replace(found, since=today)))
    return found


@cache
def own_source() -> str:
    """The hash of the edgekit that runs here."""
    digest = hashlib.sha256()
    for path in sorted(_sources(Path(edgekit.__file__).parent)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place) / name for name in names if name.endswith(_SOURCES))


def _processor() -> str:
    with suppress(OSError):
        return cpu_model(Path("/proc/cpuinfo").read_text("utf-8", errors="replace")) or platform.machine()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
