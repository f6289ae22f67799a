"""An arm64 root file system of Debian's packages, unpacked and never run: no maintainer script, no root, no emulation while it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import EdgekitError, MissingDependency
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Device
from edgekit.emulate import cache
from edgekit.flash.environment import compile_command, native_python
from edgekit.flash.systems import System, systems

TIMEOUT_S = 1800.0
MIRROR = ""
"""mmdebstrap's own choice for the suite."""
SUITES = ("bookworm", "trixie")
"""Debian's, which are also Raspberry Pi OS's."""
SMALL = ("python3", "libstdc++6", "libgcc-s1")
"""Enough to run Python with wheels; they need libstdc++, which no minimal system brings."""
TAR = "rootfs.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a root file system is made from."""

    suite: str
    packages: tuple[str, ...] = SMALL
    mirror: str = MIRROR
    version: int = 1


def standing_in(device: Device) -> tuple[System, str]:
    """The Debian whose Python and C library stand for the board's, and what is different when it is not the board's own.

    Only wheels of edgekit's oldest Python or newer can run at all; boards with an older one are emulated with Debian 12's.
    """
    known = {system.name: system for system in systems()}
    fact = device.facts.get("os")
    own = next((system for system in known.values() if fact is not None and system.title == fact.value), None)
    if own is not None and own.name in SUITES:
        return own, ""
    stand_in = known["bookworm"]
    if fact is None or own is None:
        return stand_in, "" if device.family == "raspberry-pi" else f"{stand_in.title} stands in for the board's system"
    python, other = (".".join(map(str, each.python)) for each in (own, stand_in))
    return stand_in, f"{stand_in.title} with Python {other} stands in for {own.title} with Python {python}: other wheels"


def tree(recipe: Recipe, *, progress: Progress = silent) -> Path:
    """The unpacked root file system, made once. Raises `MissingDependency`, and `EdgekitError` when the mirror does not answer."""

    def make(folder: Path) -> None:
        (folder / "tree").mkdir()
        process.run(unpack_command(archive(recipe, progress=progress), folder / "tree"), timeout_s=TIMEOUT_S)
        _ensure_whole(folder / "tree")
        _precompile(folder / "tree")

    return cache.made("rootfs", asdict(recipe), make) / "tree"


def archive(recipe: Recipe, *, progress: Progress = silent) -> Path:
    """The root file system as a tar file, its owners kept, made once."""
    ensure_tools()

    def make(folder: Path) -> None:
        progress(Event(stage=f"arm64 root file system ({recipe.suite})"))
        process.run(build_command(recipe, folder / TAR), timeout_s=TIMEOUT_S)

    return cache.made("archive", asdict(recipe), make) / TAR


def ensure_tools() -> None:
    """Raise `MissingDependency` unless mmdebstrap is here."""
    if process.which("mmdebstrap") is None:
        raise MissingDependency("mmdebstrap is not on this machine", "sudo apt install mmdebstrap uidmap")


def build_command(recipe: Recipe, out: Path) -> list[str]:
    """The mmdebstrap that downloads and unpacks; the `extract` variant runs nothing of what it unpacks."""
    command = ["mmdebstrap", "--quiet", "--architectures=arm64", "--variant=extract", f"--include={','.join(recipe.packages)}"]
    command += ['--aptopt=Apt::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"']
    command += [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale", "info")]
    return [*command, recipe.suite, str(out), *([recipe.mirror] if recipe.mirror else [])]


def unpack_command(tar: Path, folder: Path) -> list[str]:
    """The tar that unpacks it as whoever runs this, without device nodes."""
    return ["tar", "-C", str(folder), "-xf", str(tar), "--no-same-owner", "--exclude=./dev/*"]


def python_in(folder: Path) -> str:
    """The version of the Python in a root file system: `3.11`. Raises `EdgekitError` when there is none."""
    found = sorted(path.name.removeprefix("python") for path in (folder / "usr/bin").glob("python3.[0-9]*"))
    versions = [name for name in found if name.replace(".", "").isdigit()]
    if not versions:
        raise EdgekitError(
            f"there is no Python in the root file system {str(folder)!r}", "remove that folder, to make it again"
        )
    return versions[-1]


def _ensure_whole(folder: Path) -> None:
    loader = folder / "lib/ld-linux-aarch64.so.1"
    if not loader.exists():
        raise EdgekitError(f"the root file system lacks {loader.name}", "is the mirror a Debian mirror with arm64?")
    python_in(folder)


def _precompile(folder: Path) -> None:
    """Bytecode of the standard library, by this machine's Python of the same version if there is one: emulated it takes seconds."""
    version = python_in(folder)
    if native := native_python(version):
        library = folder / "usr/lib" / f"python{version}"
        process.run(compile_command(native, library), timeout_s=TIMEOUT_S, exits=(0, 1))
