"""Packages that are published as source alone: one with nothing to compile is built here, since its wheel is the same on every machine."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import EdgekitError
from edgekit.core.progress import Event, Progress, silent

COMPILED = (".c", ".cc", ".cpp", ".cxx", ".cu", ".pyx", ".rs", ".f", ".f90", "CMakeLists.txt", "Cargo.toml", "meson.build")
"""What a compiler reads: a build here would not run there."""
ANYWHERE = "-none-any.whl"
_TIMEOUT_S = 300.0


def built(names: Sequence[str], folder: Path, options: Sequence[str], *, progress: Progress = silent) -> tuple[str, ...]:
    """Fill the folder with wheels of those that are source alone with nothing to compile; their names. `options` are pip's, of where it looks."""
    return tuple(name for name in names if _built(name, folder, options, progress))


def source_command(name: str, folder: Path, options: Sequence[str]) -> list[str]:
    """The pip that downloads a package's source."""
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--progress-bar", "off"]
    return [*command, "--no-deps", "--no-binary", name, "--dest", str(folder), *options, name]


def build_command(archive: Path, folder: Path, options: Sequence[str]) -> list[str]:
    """The pip that builds it, which runs what its maker wrote for that, as any installation from source does."""
    return [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--disable-pip-version-check",
        "--no-deps",
        "-w",
        str(folder),
        *options,
        str(archive),
    ]


def is_compiled(archive: Path) -> bool:
    """Whether a source archive has something that is compiled."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            names = packed.namelist()
    else:
        with tarfile.open(archive) as packed_tar:
            names = packed_tar.getnames()
    return any(name.endswith(COMPILED) for name in names)


def _built(name: str, folder: Path, options: Sequence[str], progress: Progress) -> bool:
    """Whether there is a wheel for every machine now."""
    place = folder / f"source of {name}"
    try:
        process.run(source_command(name, place, options), timeout_s=_TIMEOUT_S)
        (archive,) = place.iterdir()
        if is_compiled(archive):
            return False
        progress(Event(stage=f"build {name}, which is published as source alone"))
        process.run(build_command(archive, place / "built", options), timeout_s=_TIMEOUT_S)
    except (EdgekitError, OSError, ValueError, tarfile.TarError):
        return False  # there is no source, either, or none that can be built here: the package is named as lacking
    found = [wheel for wheel in (place / "built").iterdir() if wheel.name.endswith(ANYWHERE)]
    for wheel in found:
        wheel.rename(folder / wheel.name)
    return bool(found)
