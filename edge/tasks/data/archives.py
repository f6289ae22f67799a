"""`.npz` archives and `.npy` files from outside, unpacked to a temporary folder and mapped, never held in memory."""

from __future__ import annotations

import shutil
import tempfile
import weakref
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError

UNPACKED_LIMIT_BYTES = 16 << 30


class Scratch:
    """A temporary folder that goes away with this object."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="edgekit-calibration-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def unpacked(path: Path, folder: Path) -> dict[str, Path]:
    """Every array of the archive as a file of its own; stops at `UNPACKED_LIMIT_BYTES` whatever the archive claims.

    Raises `InputError` when it is damaged, holds nothing, or unpacks to more than that.
    """
    members: dict[str, Path] = {}
    left = UNPACKED_LIMIT_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            for number, info in enumerate(archive.infolist()):
                target = folder / f"{number}.npy"
                left -= _copied(archive, info, target, left)
                members[info.filename.removesuffix(".npy")] = target
    except InputError:
        raise
    except Exception as exc:  # zipfile and zlib raise anything on damaged archives
        raise InputError(f"{str(path)!r} is not a whole .npz archive: {exc}", "write it with numpy.savez") from exc
    if not members:
        raise InputError(f"{str(path)!r} holds no arrays", "write it with numpy.savez")
    return members


def mapped(path: Path) -> NDArray[Any]:
    """A `.npy` file as a read-only array whose pages come from disk when they are looked at."""
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as exc:  # numpy's header parser raises anything from TokenError to UnicodeDecodeError
        raise InputError(f"{str(path)!r} is not an array of numbers: {exc}", "write it with numpy.save") from exc
    return array


def _copied(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, limit: int) -> int:
    size = 0
    with archive.open(info) as packed, target.open("wb") as file:
        while piece := packed.read(1 << 20):
            size += len(piece)
            if size > limit:
                raise InputError(f"{info.filename!r} unpacks to more than {limit} bytes", "give fewer samples")
            file.write(piece)
    return size
