"""Models by path: an artifact folder, or a TFLite file as it came, which is wrapped into one for as long as it is open."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.adoption import SUFFIX, adopt
from edgekit.artifact import read
from edgekit.loading import open_artifact
from edgekit.runtimes.face import FaceSession


@contextmanager
def opened(path: Path, *, runtime: str = "auto", threads: int = 0) -> Iterator[FaceSession]:
    """A session of the model at `path`, closed when the block ends. Raises as `edgekit.loading.load` and `adopt` do."""
    with adopted(path) as folder, open_artifact(read(folder), runtime=runtime, threads=threads) as session:
        yield session


@contextmanager
def adopted(path: Path) -> Iterator[Path]:
    """The artifact folder at `path`, or one around the TFLite file there, which is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        yield adopt(path, Path(scratch) / path.stem).path if path.suffix.lower() == SUFFIX else path
