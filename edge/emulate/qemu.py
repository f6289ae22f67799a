"""QEMU on this machine: is it new enough, and how an arm64 program is run by it without root, chroot or binfmt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import EdgekitError, MissingDependency, Unsupported
from edgekit.emulate.cores import Core

OLDEST = (10, 0)
USER, SYSTEM = "qemu-aarch64", "qemu-system-aarch64"
PACKAGES = {USER: "qemu-user", SYSTEM: "qemu-system-arm", "qemu-img": "qemu-utils"}
_VERSION = re.compile(r"version (\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Where an emulated program finds its libraries and its Python: an extracted root file system, and packages beside it."""

    core: Core
    tree: Path
    python: str
    packages: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def ensure(program: str) -> tuple[int, int]:
    """The version of a QEMU program. Raises `MissingDependency` when it is absent, `Unsupported` when it is too old.

    Debian 12's own 7.2 ends with SIGSEGV while it imports ONNX Runtime and LiteRT.
    """
    if process.which(program) is None:
        raise MissingDependency(f"{program} is not on this machine", f"sudo apt install {PACKAGES[program]} (10.0 or newer)")
    return new_enough(program, process.run([program, "--version"], timeout_s=30.0).stdout)


def new_enough(program: str, said: str) -> tuple[int, int]:
    """The version in what `--version` printed. Raises `Unsupported` for an older one, `EdgekitError` when there is none."""
    found = _VERSION.search(said)
    if found is None:
        raise EdgekitError(f"{program} does not say its version: {said[:60]!r}", f"run it by hand: {program} --version")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        raise Unsupported(
            f"{program} is version {version[0]}.{version[1]}; before 10.0 it crashes in ONNX Runtime and LiteRT",
            f"Debian 12: sudo apt install -t bookworm-backports {PACKAGES[program]}",
        )
    return version


def command(guest: Guest, arguments: Sequence[str]) -> list[str]:
    """The guest's Python with `arguments`, on the board's core, with nothing of this machine's environment."""
    libraries = [guest.tree / part / "aarch64-linux-gnu" for part in ("usr/lib", "lib")]
    environment = {
        "PATH": "/usr/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "PYTHONHOME": str(guest.tree / "usr"),
        "PYTHONPATH": ":".join(map(str, guest.packages)),
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "OPENBLAS_NUM_THREADS": "1",
        **guest.environment,
    }
    given = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
    python = guest.tree / "usr/bin" / f"python{guest.python}"
    return [
        "env",
        "-i",
        "PATH=/usr/bin:/bin",
        USER,
        "-cpu",
        guest.core.model,
        "-L",
        str(guest.tree),
        *given,
        str(python),
        *arguments,
    ]
