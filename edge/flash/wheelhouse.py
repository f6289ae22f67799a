"""Exactly the wheels a board needs, for its Python and its C library, with their hashes, and all of them unpacked as one file to install."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import msgspec

from edgekit.core import process
from edgekit.core.errors import EdgekitError, InputError, NotFound, Unsupported
from edgekit.core.files import new_folder, sha256_file, write_atomically
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Device, Value
from edgekit.deploy.board.layout import ROOT
from edgekit.flash import environment, source
from edgekit.flash.systems import System, machine_of, platforms, system_of

MANIFEST = "wheelhouse.json"
TIMEOUT_S = 1800.0
BOARDS_PYTHON = ROOT / "venv/bin/python"
_NONE_FITS = re.compile(
    r"No matching distribution found for ([^\s(]+)|Could not find a version that satisfies the requirement ([^\s(]+)"
)
ADVICE = {
    "llama-cpp-python": "it has no wheels: build one for the board, or take xllamacpp, which has",
    "tensorrt": "it comes with JetPack, not from the index",
    "pycoral": "that name on the index is another project; the Edge TPU runs through LiteRT",
    "tflite-runtime": "it ends with Python 3.11; ai-edge-litert is its successor",
    "picamera2": "it comes with Raspberry Pi OS: sudo apt install python3-picamera2",
}
"""What to do about packages that are known to lack wheels for boards."""


class Wheel(Value, frozen=True, kw_only=True):
    """One file of a wheelhouse."""

    name: str
    sha256: str
    bytes: int


class Wheelhouse(Value, frozen=True, kw_only=True):
    """`wheelhouse.json`: for which board and Python the wheels beside it are."""

    device: str
    system: str
    python: str
    machine: str
    requirements: tuple[str, ...]
    wheels: tuple[Wheel, ...]
    environment: Wheel | None = None
    """What is installed from these wheels, as one archive; None where nothing is to be installed from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where wheels come from: the index pip is configured with, folders of wheels, or these alone."""

    find_links: tuple[str, ...] = ()
    no_index: bool = False

    @property
    def options(self) -> list[str]:
        """pip's."""
        folders = [word for place in self.find_links for word in ("--find-links", place)]
        return [*folders, *(["--no-index"] if self.no_index else [])]


def make(
    device: Device,
    out: Path,
    *,
    extras: Sequence[str] = (),
    packages: Sequence[str] = (),
    system: str = "",
    edgekit_wheel: Path | None = None,
    where: Where = Where(),
    replace: bool = False,
    progress: Progress = silent,
) -> Wheelhouse:
    """Fill the folder `out` with edgekit (with `extras`), pip, `packages` and all they need, or leave it as it was.

    Raises `Unsupported` naming every package without a fitting wheel and what to do about it, and the `EdgekitError`s of
    `system_of` and of pip. Markers such as `python_version < "3.12"` are read by the pip that runs here, for its own Python.
    """
    found = system_of(device, system)
    with tempfile.TemporaryDirectory(prefix="edgekit-wheel-") as built, new_folder(out, replace=replace) as folder:
        own = edgekit_wheel or built_wheel(Path(built), progress)
        wanted = [f"{own}[{','.join(extras)}]" if extras else str(own), "pip", *packages]
        filled = fill(folder, device, found, wanted, (f"edgekit{[*extras] or ''}", *packages), where=where, progress=progress)
        return _with_environment(folder, filled, found, progress)


def fill(
    folder: Path,
    device: Device,
    system: System,
    wanted: Sequence[str],
    requirements: Sequence[str],
    *,
    where: Where = Where(),
    progress: Progress = silent,
) -> Wheelhouse:
    """Download `wanted` (requirements or files, as for pip) into an empty folder and describe it, `requirements` being their names."""
    machine = machine_of(device)
    progress(Event(stage="download wheels"))
    _download(wanted, folder, system, machine, where, progress)
    described = Wheelhouse(
        device=device.name,
        system=system.name,
        python=".".join(map(str, system.python)),
        machine=machine,
        requirements=tuple(requirements),
        wheels=_listed(folder),
    )
    _write(folder, described)
    return described


def read(folder: Path) -> Wheelhouse:
    """A wheelhouse, its hashes checked. Raises `NotFound` and `InputError`."""
    file = folder / MANIFEST
    if not file.is_file():
        raise NotFound(f"{str(folder)!r} is no wheelhouse: it has no {MANIFEST}", "edgekit wheelhouse --target BOARD -o DIR")
    try:
        described = msgspec.json.decode(file.read_bytes(), type=Wheelhouse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError(f"{str(file)!r} is damaged: {exc}", "make the wheelhouse again") from exc
    for wheel in (*described.wheels, *([described.environment] if described.environment else [])):
        path = folder / wheel.name
        if Path(wheel.name).name != wheel.name or path.is_symlink() or not path.is_file():
            raise InputError(f"{wheel.name!r} is not in {str(folder)!r}", "make the wheelhouse again")
        if sha256_file(path) != wheel.sha256:
            raise InputError(f"{wheel.name!r} in {str(folder)!r} is not the one that was put there", "make it again")
    return described


def download_command(wanted: Sequence[str], folder: Path, system: System, machine: str, where: Where) -> list[str]:
    """The pip that downloads wheels for another machine; it builds nothing, since a build here would not run there."""
    tag = "".join(map(str, system.python))
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--dest", str(folder), "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--python-version", ".".join(map(str, system.python))]
    for abi in (f"cp{tag}", "abi3", "none"):
        command += ["--abi", abi]
    for platform in platforms(system, machine):
        command += ["--platform", platform]
    return [*command, *where.options, *wanted]


def built_wheel(place: Path, progress: Progress = silent) -> Path:
    """edgekit's own wheel, built into the folder `place` from the checkout this runs from. Raises `NotFound` when it does not run from one."""
    import edgekit

    root = Path(edgekit.__file__).resolve().parents[1]
    if not (root / "setup.cfg").is_file():
        raise NotFound(
            "edgekit does not run from a checkout here, so its wheel cannot be built", "--edgekit edgekit-VERSION.whl"
        )
    progress(Event(stage="build edgekit's wheel"))
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps", "-w", str(place), str(root)]
    process.run(command, timeout_s=TIMEOUT_S)
    return next(place.glob("edgekit-*.whl"))


def _download(
    wanted: Sequence[str],
    folder: Path,
    system: System,
    machine: str,
    where: Where,
    progress: Progress,
    tried: Sequence[str] = (),
) -> None:
    """Everything at once; what that lacks and is source alone with nothing to compile is built, and it is tried again.

    When something cannot be built, each is asked for alone, so that every package that lacks a wheel is named and not only the first.
    """
    try:
        process.run(download_command(wanted, folder, system, machine, where), timeout_s=TIMEOUT_S)
    except EdgekitError as exc:
        with tempfile.TemporaryDirectory() as scratch:
            new = [name for name in _names_in(exc) if name not in tried]
            built = _built(new, Path(scratch), where, progress)
            if not new or len(built) < len(new):
                _refuse(exc, wanted, system, machine, where, progress, [name for name in new if name not in built])
            more = replace(where, find_links=(*where.find_links, scratch))
            _download(wanted, folder, system, machine, more, progress, (*tried, *new))


def _refuse(
    first: EdgekitError,
    wanted: Sequence[str],
    system: System,
    machine: str,
    where: Where,
    progress: Progress,
    unbuilt: Sequence[str],
) -> NoReturn:
    """Raise `Unsupported` for all that has no wheel and cannot be built here; where nothing is missing, what was raised first."""
    missing = _missing(first, wanted, system, machine, where)
    with tempfile.TemporaryDirectory() as scratch:
        pure = _built([name for name in missing if name not in unbuilt], Path(scratch), where, progress)
    lacking = [name for name in missing if name not in pure]
    if not lacking:
        raise first
    advice = [f"{name}: {ADVICE.get(name, 'build one for the board, or ask its maker for one')}" for name in lacking]
    python = ".".join(map(str, system.python))
    message = f"no wheel for {machine}, Python {python}, {system.title}: {', '.join(lacking)}"
    raise Unsupported(message, "; ".join(advice)) from first


def _built(names: Sequence[str], folder: Path, where: Where, progress: Progress) -> tuple[str, ...]:
    return source.built([name for name in names if name not in ADVICE], folder, where.options, progress=progress)


def _missing(first: EdgekitError, wanted: Sequence[str], system: System, machine: str, where: Where) -> list[str]:
    names = _names_in(first)
    with tempfile.TemporaryDirectory() as scratch:
        for each in wanted if names else ():
            try:
                process.run(download_command([each], Path(scratch), system, machine, where), timeout_s=TIMEOUT_S)
            except EdgekitError as exc:
                names += [name for name in _names_in(exc) if name not in names]
    return names


def _names_in(error: EdgekitError) -> list[str]:
    found = (one or other for one, other in _NONE_FITS.findall(error.message))
    return list(dict.fromkeys(re.split(r"[<>=!~\[;]", name)[0].lower() for name in found))


def _with_environment(folder: Path, described: Wheelhouse, system: System, progress: Progress) -> Wheelhouse:
    """The same, with the packages as one archive."""
    archive = folder / environment.NAME
    wheels = [folder / wheel.name for wheel in described.wheels]
    environment.pack(wheels, system, described.machine, BOARDS_PYTHON, archive, progress=progress)
    whole = msgspec.structs.replace(described, environment=_wheel(archive))
    _write(folder, whole)
    return whole


def _write(folder: Path, described: Wheelhouse) -> None:
    write_atomically(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n")


def _listed(folder: Path) -> tuple[Wheel, ...]:
    return tuple(map(_wheel, sorted(folder.glob("*.whl"))))


def _wheel(file: Path) -> Wheel:
    return Wheel(name=file.name, sha256=sha256_file(file), bytes=file.stat().st_size)
