"""A board's packages, unpacked and compiled here: its first boot unpacks one file, where pip would take minutes on a slow board."""

from __future__ import annotations

import gzip
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import EdgekitError
from edgekit.core.progress import Event, Progress, silent
from edgekit.flash.systems import System, platforms

NAME = "environment.tar.gz"
COMPILED = ".compiled"
"""A file of the archive that says that its bytecode is there; without it the board compiles."""
TIMEOUT_S = 1800.0
_LEVEL = 1
"""Boards unpack it once; more would save a tenth of its size for four times the time."""


def pack(wheels: Sequence[Path], system: System, machine: str, python: Path, out: Path, *, progress: Progress = silent) -> None:
    """Write `out`: the folders `lib` and `bin` of a virtual environment, whose programs are run by `python` of the board."""
    progress(Event(stage="unpack and compile the packages"))
    with tempfile.TemporaryDirectory(prefix="edgekit-environment-") as scratch:
        root = Path(scratch)
        site = root / "lib" / f"python{_text(system)}" / "site-packages"
        process.run(unpack_command(wheels, site, system, machine), timeout_s=TIMEOUT_S)
        _move_programs(site / "bin", root / "bin", python)
        if native := native_python(_text(system)):
            process.run(compile_command(native, site, shown=(root, python.parents[1])), timeout_s=TIMEOUT_S, exits=(0, 1))
            (root / COMPILED).touch()
        _archive(root, out)


def unpack_command(wheels: Sequence[Path], out: Path, system: System, machine: str) -> list[str]:
    """The pip that puts wheels for another machine into a folder, and asks no index."""
    tag = "".join(map(str, system.python))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    command += ["--no-compile", "--only-binary", ":all:", "--target", str(out), "--implementation", "cp"]
    command += ["--python-version", _text(system)]
    for abi in (f"cp{tag}", "abi3", "none"):
        command += ["--abi", abi]
    for platform in platforms(system, machine):
        command += ["--platform", platform]
    return [*command, *map(str, wheels)]


def compile_command(python: str, folder: Path, shown: tuple[Path, Path] | None = None) -> list[str]:
    """Bytecode that is not compared with times of files, which change while images are made; some of what is there is no valid Python.

    `shown`: tracebacks show the second folder in place of the first.
    """
    command = [python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    return [*command, *(["-s", str(shown[0]), "-p", str(shown[1])] if shown else []), str(folder)]


def native_python(version: str) -> str:
    """This machine's Python of that version, whose bytecode is the same everywhere; empty where there is none that runs."""
    found = shutil.which(f"python{version}") or ""
    if not found:
        return ""
    try:
        said = process.run([found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], timeout_s=30.0).stdout.strip()
    except EdgekitError:  # a name of pyenv's whose version is switched off
        return ""
    return found if said == version else ""


def _move_programs(folder: Path, out: Path, python: Path) -> None:
    """Console scripts, which pip made for the Python that runs here, get the board's."""
    out.mkdir()
    for script in sorted(folder.iterdir()) if folder.is_dir() else ():
        _, _, rest = script.read_bytes().partition(b"\n")
        made = out / script.name
        made.write_bytes(f"#!{python}\n".encode() + rest)
        made.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def _archive(root: Path, out: Path) -> None:
    """Everything below `root`, root's own, without times: equal wheels give equal archives."""
    with (
        out.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for path in sorted(root.rglob("*")):
            archive.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _text(system: System) -> str:
    return ".".join(map(str, system.python))
