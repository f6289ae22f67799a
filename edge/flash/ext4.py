"""Files in an ext4 partition of an image or card, read and written by e2fsprogs' debugfs: no mounting, no root."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from edgekit.core import process
from edgekit.core.errors import DeviceError, InputError, MissingDependency, NotFound
from edgekit.core.files import sha256_file
from edgekit.flash.partitions import Partition

TIMEOUT_S = 600.0
PROGRAM = "debugfs"
_SBIN = Path("/usr/sbin") / PROGRAM
_NAME = re.compile(r"[A-Za-z0-9_./@+-]+")
_FREE, _BLOCK = re.compile(r"^Free blocks:\s+(\d+)", re.MULTILINE), re.compile(r"^Block size:\s+(\d+)", re.MULTILINE)
_LINK = re.compile(r'^Fast link dest: "(.*)"$', re.MULTILINE)


def ensure_tools() -> None:
    """Raise `MissingDependency` unless debugfs is here."""
    if process.which(PROGRAM) is None and not _SBIN.exists():
        raise MissingDependency("debugfs of e2fsprogs is not on this machine", "sudo apt install e2fsprogs")


def read_file(image: Path, partition: Partition, name: str) -> bytes:
    """The file called `name`. Raises `NotFound` when there is none."""
    with _copied_out(image, partition, name) as copy:
        return copy.read_bytes()


def sha256_of(image: Path, partition: Partition, name: str) -> str:
    """The hash of the file called `name`. Raises `NotFound` when there is none."""
    with _copied_out(image, partition, name) as copy:
        return sha256_file(copy)


def link_of(image: Path, partition: Partition, name: str) -> str:
    """Where the link called `name` points to; nothing when there is none."""
    found = _LINK.search(_asked(image, partition, f"stat {_safe(name)}"))
    return found[1] if found else ""


def free_bytes(image: Path, partition: Partition) -> int:
    """How much room the partition has left. Raises `InputError` where it holds no ext4, or one that was not left clean."""
    said = _asked(image, partition, "stats -h")
    free, block = _FREE.search(said), _BLOCK.search(said)
    if free is None or block is None:
        raise InputError(
            f"partition {partition.number} of {str(image)!r} holds no ext4 file system", "is it an image for this board?"
        )
    if "needs_recovery" in said:
        raise InputError(f"the file system of {str(image)!r} was not left clean", "an image as its maker published it")
    return int(free[1]) * int(block[1])


def copy_tree(image: Path, partition: Partition, folder: Path) -> None:
    """Copy what `folder` holds into the partition, replacing files of the same name; all of it is root's. What did not work is
    found by whoever reads it back: debugfs says so in no way that can be relied on.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files]
    lines = [f"mkdir {each}" for each in _parents(names)]
    for path, name in zip(files, names, strict=True):
        lines += [f"rm {_safe(name)}", f'write "{path}" {_safe(name)}']
        lines += [f"set_inode_field {name} mode 0{0o100755 if name.endswith('.sh') else 0o100644:o}"]
        lines += [f"set_inode_field {name} {owner} 0" for owner in ("uid", "gid")]
    _commanded(image, partition, lines)


def make_links(image: Path, partition: Partition, links: Mapping[str, str]) -> None:
    """Symbolic links by their paths, in place of what is there. Raises `DeviceError` for one that reads back otherwise."""
    lines = [f"mkdir {each}" for each in _parents(links)]
    for name, goal in links.items():
        lines += [f"rm {_safe(name)}", f"symlink {_safe(name)} {_safe(goal)}"]
    _commanded(image, partition, lines)
    for name, goal in links.items():
        if (found := link_of(image, partition, name)) != goal:
            raise DeviceError(f"the link {name!r} in {str(image)!r} leads to {found or 'nothing'!r}", "try another card")


def place(image: Path, partition: Partition) -> str:
    """The partition as e2fsprogs name it: the file, and the byte where the file system starts."""
    return f"{image}?offset={partition.start}"


def command(image: Path, partition: Partition, words: list[str]) -> list[str]:
    """The debugfs that does `words` on the partition."""
    program = PROGRAM if process.which(PROGRAM) else str(_SBIN)
    return [program, *words, place(image, partition)]


def _asked(image: Path, partition: Partition, question: str) -> str:
    return process.run(command(image, partition, ["-R", question]), timeout_s=TIMEOUT_S).stdout


def _commanded(image: Path, partition: Partition, lines: list[str]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".debugfs") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        process.run(command(image, partition, ["-w", "-f", file.name]), timeout_s=TIMEOUT_S, exits=range(256))


@contextmanager
def _copied_out(image: Path, partition: Partition, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        copy = Path(folder) / "file"
        done = process.run(command(image, partition, ["-R", f"dump {_safe(name)} {copy}"]), timeout_s=TIMEOUT_S)
        if not copy.exists() or "File not found" in done.stderr:
            raise NotFound(f"no file {name!r} in partition {partition.number} of {str(image)!r}")
        yield copy


def _parents(names: Mapping[str, str] | list[str]) -> list[str]:
    """All folders above the names, outer ones first."""
    found = {str(folder) for name in names for folder in PurePosixPath(name).parents if str(folder) not in (".", "/")}
    return sorted(map(_safe, found))


def _safe(name: str) -> str:
    """`name` itself. Raises `InputError` for what debugfs would read as something else."""
    if not _NAME.fullmatch(name) or ".." in PurePosixPath(name).parts:
        raise InputError(f"{name[:80]!r} is no name for a file of the card")
    return name
