"""Pictures in files under one folder: what data sets of them have in common, whatever labels they carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.core.files import sha256_bytes, sha256_file


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFiles:
    """The pictures at `paths`, all below `folder`, in order."""

    folder: Path
    paths: tuple[Path, ...]

    @property
    def sha256(self) -> str:
        """Of their names and contents."""
        return hash_of_files(self.folder, self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def hash_of_files(root: Path, paths: tuple[Path, ...]) -> str:
    """One SHA-256 over the relative names and contents of `paths`, in their order."""
    lines = (f"{sha256_file(path)} {path.relative_to(root).as_posix()}\n" for path in paths)
    return sha256_bytes("".join(lines).encode())
