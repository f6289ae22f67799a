"""Files in the FAT partition of an image or card, read and written by mtools: no mounting, no root."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import EdgekitError, MissingDependency, NotFound
from edgekit.core.files import sha256_file
from edgekit.flash.partitions import Partition

TIMEOUT_S = 600.0
"""A slow card takes minutes for a wheelhouse of a hundred megabytes."""
NEEDED = ("mcopy", "mdir")


def ensure_tools() -> None:
    """Raise `MissingDependency` unless mtools are here."""
    missing = [program for program in NEEDED if process.which(program) is None]
    if missing:
        raise MissingDependency(f"{' and '.join(missing)} of mtools are not on this machine", "sudo apt install mtools")


def read_file(image: Path, partition: Partition, name: str) -> bytes:
    """The file called `name`. Raises `NotFound` when there is none."""
    with _copied_out(image, partition, name) as copy:
        return copy.read_bytes()


def sha256_of(image: Path, partition: Partition, name: str) -> str:
    """The hash of the file called `name`, which may be larger than memory. Raises `NotFound` when there is none."""
    with _copied_out(image, partition, name) as copy:
        return sha256_file(copy)


@contextmanager
def _copied_out(image: Path, partition: Partition, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "file"
        try:
            process.run(copy_out(image, partition, name, copy), timeout_s=TIMEOUT_S)
        except MissingDependency:
            raise
        except EdgekitError as exc:
            raise NotFound(f"no file {name!r} in the boot partition of {str(image)!r}: {exc.message}", exc.hint) from exc
        yield copy


def copy_tree(image: Path, partition: Partition, folder: Path) -> None:
    """Copy what `folder` holds into the partition, replacing files of the same name. Raises `EdgekitError` when it does not fit."""
    entries = sorted(folder.iterdir())
    if entries:
        process.run(copy_in(image, partition, entries), timeout_s=TIMEOUT_S)


def free_bytes(image: Path, partition: Partition) -> int:
    """How much room the partition has left."""
    said = process.run(["mdir", "-i", place(image, partition), "::"], timeout_s=TIMEOUT_S).stdout
    line = next((line for line in said.splitlines() if "bytes free" in line), "")
    digits = "".join(sign for sign in line if sign.isdigit())
    if not digits:
        raise EdgekitError(f"mdir does not say how much room {str(image)!r} has", "run it by hand: mdir -i IMAGE@@START ::")
    return int(digits)


def place(image: Path, partition: Partition) -> str:
    """The partition as mtools name it: the file, and the byte where the file system starts."""
    return f"{image}@@{partition.start}"


def copy_in(image: Path, partition: Partition, entries: list[Path]) -> list[str]:
    """The command that copies files and folders in, replacing what is there."""
    return ["mcopy", "-i", place(image, partition), "-s", "-o", "-Q", *map(str, entries), "::/"]


def copy_out(image: Path, partition: Partition, name: str, copy: Path) -> list[str]:
    """The command that copies one file out."""
    return ["mcopy", "-i", place(image, partition), "-n", "-b", f"::/{name}", str(copy)]


def names(image: Path, partition: Partition) -> tuple[str, ...]:
    """Every file and folder of the partition by its path; folders end in `/`."""
    said = process.run(["mdir", "-b", "-/", "-i", place(image, partition), "::"], timeout_s=TIMEOUT_S).stdout
    return tuple(line.removeprefix("::/") for line in said.splitlines() if line.startswith("::/"))
