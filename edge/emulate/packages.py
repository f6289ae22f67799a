"""A board's own wheels, unpacked here for its Python and its C library; nothing of pip runs emulated."""

from __future__ import annotations

from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import InputError
from edgekit.core.progress import Event, Progress, silent
from edgekit.emulate import cache
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.flash.environment import TIMEOUT_S, compile_command, native_python, unpack_command
from edgekit.flash.systems import System
from edgekit.flash.wheelhouse import Wheelhouse

MACHINE = "aarch64"


def site(folder: Path, system: System, *, progress: Progress = silent) -> Path:
    """The wheels of a wheelhouse as one folder of packages, made once. Raises `InputError` for wheels of another Python or machine."""
    described = wheelhouses.read(folder)
    ensure_for(described, system)

    def make(out: Path) -> None:
        progress(Event(stage="unpack the board's wheels"))
        wheels = [folder / wheel.name for wheel in described.wheels if not wheel.name.startswith("pip-")]
        process.run(unpack_command(wheels, out / "site", system, MACHINE), timeout_s=TIMEOUT_S)
        if native := native_python(described.python):
            process.run(compile_command(native, out / "site"), timeout_s=TIMEOUT_S, exits=(0, 1))

    of = {"wheels": sorted(wheel.sha256 for wheel in described.wheels), "system": system.name}
    return cache.made("site", of, make) / "site"


def ensure_for(described: Wheelhouse, system: System) -> None:
    """Raise `InputError` unless the wheels are for the emulated Python, on arm64."""
    python = ".".join(map(str, system.python))
    if described.machine != MACHINE or described.python != python:
        raise InputError(
            f"the wheels are for {described.machine} and Python {described.python}, the emulated system has {MACHINE} and {python}",
            f"edgekit wheelhouse --target {described.device} --system {system.name} --extra litert --extra onnx -o DIR",
        )
