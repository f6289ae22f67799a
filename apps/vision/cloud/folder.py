"""Copies in a folder: another disk, or a share that is mounted."""

from __future__ import annotations

import filecmp
import os
from pathlib import Path

from edgekit.apps.vision.cloud.upload import decoded
from edgekit.apps.vision.notify.courier import Refused, Unreachable
from edgekit.apps.vision.notify.outbox import Waiting

PIECE_BYTES = 1 << 20


class Folder:
    """One folder, which must be there: what is not mounted must not fill the disk below it."""

    name = "cloud"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, waiting: Waiting) -> None:
        """Copy the file; it appears under its name when it is whole. A copy that was interrupted is continued."""
        upload = decoded(waiting.body)
        source, target = Path(upload.path), self._folder / upload.key
        if not source.is_file():
            raise Refused(f"{source.name!r} was deleted before it was copied")
        if not self._folder.is_dir():
            raise Unreachable(f"there is no folder {str(self._folder)!r}: is it mounted?")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target)
        except OSError as exc:
            raise Unreachable(f"{str(self._folder)!r} cannot be written: {exc.strerror or exc}") from exc

    def tend(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing is held open."""


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    _append(source, part)
    if not filecmp.cmp(source, part, shallow=False):  # what was there is of another file
        part.unlink()
        _append(source, part)
    part.replace(target)


def _append(source: Path, part: Path) -> None:
    """Bring `part` to the length of `source`, from where it ends."""
    with source.open("rb") as reads, part.open("ab") as writes:
        reads.seek(writes.tell())
        while piece := reads.read(PIECE_BYTES):
            writes.write(piece)
        writes.flush()
        os.fsync(writes.fileno())
