"""Models by path: an artifact folder, or a file as it came (TFLite's or MediaPipe's), wrapped into one for as long as it is open."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.adoption import SUFFIX, adopt
from edgekit.artifact import read
from edgekit.core.profiles import find
from edgekit.loading import open_artifact
from edgekit.runtimes.face import FaceSession

TASK = ".task"
"""Of MediaPipe's bundles."""


@contextmanager
def opened(path: Path, *, runtime: str = "auto", threads: int = 0) -> Iterator[FaceSession]:
    """A session of the model at `path`, closed when the block ends. Raises as `edgekit.loading.load` and `adopt` do."""
    with adopted(path) as folder, open_artifact(read(folder), runtime=runtime, threads=threads) as session:
        yield session


@contextmanager
def adopted(path: Path) -> Iterator[Path]:
    """The artifact folder at `path`, or one around the file there, which is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        yield _folder(path, Path(scratch))


def _folder(path: Path, scratch: Path) -> Path:
    if path.suffix.lower() == SUFFIX:
        return adopt(path, scratch / path.stem).path
    if path.suffix.lower() == TASK:
        from edgekit.mediapipe_task import package  # it reads networks, which a folder needs nobody for

        return package(path, find("host"), scratch).path
    return path
