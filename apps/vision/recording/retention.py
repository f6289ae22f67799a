"""How long clips are kept: not beyond an age, not beyond so many bytes, and never down to the disk's last free ones."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIX, PICTURE = ".mp4", ".jpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clips and pictures may take, all together."""

    days: float
    total_bytes: int
    free_bytes: int
    """So much of the disk stays free, whatever the two others allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A clip, or an event's picture, on the disk."""

    path: Path
    size_bytes: int
    written_s: float


def clips_in(folders: Iterable[Path]) -> list[Clip]:
    """All clips and pictures under the folders, oldest first."""
    paths = (path for folder in folders for suffix in (SUFFIX, PICTURE) for path in folder.rglob(f"*{suffix}"))
    found = [(path, path.stat()) for path in paths if path.is_file()]
    clips = [Clip(path=path, size_bytes=stat.st_size, written_s=stat.st_mtime) for path, stat in found]
    return sorted(clips, key=lambda clip: (clip.written_s, clip.path))


def doomed(clips: Sequence[Clip], limits: Limits, now_s: float, free_bytes: int) -> tuple[Clip, ...]:
    """Those to delete, oldest first, until age, bytes and free space are as they shall be."""
    total, free, found = sum(clip.size_bytes for clip in clips), free_bytes, []
    for clip in clips:
        too_old = now_s - clip.written_s > limits.days * 86400
        if not (too_old or total > limits.total_bytes or free < limits.free_bytes):
            break
        found.append(clip)
        total, free = total - clip.size_bytes, free + clip.size_bytes
    return tuple(found)


def sweep(folders: Sequence[Path], limits: Limits, now_s: float, *, spared: Collection[str] = ()) -> tuple[Clip, ...]:
    """Delete what must go from folders of one disk, but for files with the names in `spared`; what went."""
    clips = [clip for clip in clips_in(folders) if clip.path.name not in spared]
    gone = doomed(clips, limits, now_s, shutil.disk_usage(folders[0]).free)
    for clip in gone:
        clip.path.unlink(missing_ok=True)
    return gone
