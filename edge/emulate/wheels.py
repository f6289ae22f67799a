"""The wheels of an emulated board when nobody brings a wheelhouse: its engines', downloaded once. edgekit itself is taken as it is here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path

import edgekit
from edgekit.core.errors import NotFound
from edgekit.core.progress import Progress, silent
from edgekit.core.schema import Device
from edgekit.emulate import cache
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.flash.systems import System

ENGINES = ("litert", "onnx")
"""Extras that every check needs; the core package alone runs nothing."""
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def wheelhouse(device: Device, system: System, *, progress: Progress = silent) -> Path:
    """Wheels of both engines and all they need, for the system. Raises what `wheelhouse.fill` does."""
    wanted = requirements(requires("edgekit") or [], ENGINES)
    if not wanted:
        raise NotFound("what edgekit needs is not known here: it was not installed by pip", "--wheelhouse DIR")

    def make(folder: Path) -> None:
        (folder / "wheels").mkdir()
        wheelhouses.fill(folder / "wheels", device, system, wanted, wanted, progress=progress)

    return cache.made("wheels", {"system": system.name, "wanted": wanted}, make) / "wheels"


def own(place: Path) -> Path:
    """A folder for Python's path that holds this very edgekit, and nothing else of this machine's."""
    place.mkdir(exist_ok=True)
    link = place / "edgekit"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(edgekit.__file__).parent, target_is_directory=True)
    return place


def requirements(lines: Sequence[str], extras: Sequence[str]) -> list[str]:
    """The package's own requirements and those of some extras, without their markers: they are for another Python than this."""
    found = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        if extra is None or extra[1] in extras:
            found.append(requirement.strip())
    return sorted(set(found))
