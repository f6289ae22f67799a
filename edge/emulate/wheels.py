"""The wheels of an emulated board when nobody brings a wheelhouse: made once for this very edgekit, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import edgekit
from edgekit.core.files import sha256_file
from edgekit.core.progress import Progress, silent
from edgekit.core.schema import Device
from edgekit.emulate import cache
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.flash.systems import System

ENGINES = ("litert", "onnx")
"""Extras that every check needs; the core package alone runs nothing."""


def wheelhouse(device: Device, system: System, extras: Sequence[str], *, progress: Progress = silent) -> Path:
    """A wheelhouse for the system with edgekit as it is here. Raises what `wheelhouse.make` does."""
    wanted = sorted({*ENGINES, *extras})

    def make(folder: Path) -> None:
        wheelhouses.make(device, folder / "wheels", extras=wanted, system=system.name, progress=progress)

    return cache.made("wheels", {"system": system.name, "extras": wanted, "edgekit": _own_files()}, make) / "wheels"


def _own_files() -> list[tuple[str, str]]:
    """What edgekit consists of here, by hash: a checkout changes without changing its version."""
    folder = Path(edgekit.__file__).parent
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [(path.relative_to(folder).as_posix(), sha256_file(path)) for path in files]
