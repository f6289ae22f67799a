"""The model that an artifact was made from: gradients are its, since the file that runs has none."""

from __future__ import annotations

from pathlib import Path

from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import sha256_file
from edgekit.core.schema import Artifact

GIVE = "--original MODEL: the file that was converted"


def original_of(artifact: Artifact, given: Path | None = None) -> Path | None:
    """The file at `given`; else one of the right name and hash beside the artifact or one folder up, if there is any.

    Raises `NotFound` when nothing is at `given`, `InputError` when that is not what the artifact was made from.
    """
    source = artifact.manifest.source
    if given is None:
        folders = (artifact.path.resolve().parent, artifact.path.resolve().parent.parent)
        return next((path for path in (folder / source.name for folder in folders) if _is(path, source.sha256)), None)
    if not given.is_file():
        raise NotFound(f"no model at {str(given)!r}", "is the path right?")
    if not _is(given, source.sha256):
        raise InputError(f"{given.name!r} is not what {artifact.path.name!r} was made from: {source.name!r}", GIVE)
    return given


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256
