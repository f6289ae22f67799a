"""Pictures and labels in a pair of idx files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.tasks.data.idx import IdxFile, open_idx, read_labels
from edgekit.tasks.data.samples import Sample

IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
_IMAGES_NAME = re.compile(rf"(.*){IMAGES}(\.gz)?$")
TEST_PREFIXES = ("t10k", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxDataset:
    """A pair `*images-idx3-ubyte(.gz)` and `*labels-idx1-ubyte(.gz)`; a class is called by its number."""

    images: IdxFile
    labels_path: Path
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    task: Literal["classification"] = "classification"

    @property
    def sha256(self) -> str:
        return sha256_bytes((sha256_file(self.images.path) + sha256_file(self.labels_path)).encode())

    def __len__(self) -> int:
        return self.images.shape[0]

    def __iter__(self) -> Iterator[Sample]:
        truth = read_labels(self.labels_path)
        for index, (pixels, label) in enumerate(zip(self.images, truth, strict=True)):
            image = np.repeat(pixels[:, :, None], 3, axis=2)
            yield Sample(name=f"{self.images.path.name}#{index}", image=image, class_ids=np.array([label]))


def idx_images(path: Path) -> tuple[Path, ...]:
    """The idx picture files at `path` (a folder or one file), those of a test set first; empty when there are none."""
    if path.is_file():
        return (path,) if _IMAGES_NAME.match(path.name) else ()
    found = [entry for entry in path.iterdir() if entry.is_file() and _IMAGES_NAME.match(entry.name)]
    return tuple(sorted(found, key=lambda entry: (not entry.name.startswith(TEST_PREFIXES), entry.name)))


def open_pair(path: Path) -> IdxDataset:
    """The pair at `path`: a folder (its test set when there are several) or the picture file of a pair.

    Raises `InputError` when the labels are missing, one of the files is damaged, or their lengths differ.
    """
    candidates = idx_images(path)
    if not candidates:
        raise InputError(f"no *{IMAGES}(.gz) at {str(path)!r}", "is this the right folder?")
    labels_path = _labels_beside(candidates[0])
    images, truth = open_idx(candidates[0], axes=3), read_labels(labels_path)
    if images.shape[0] != len(truth) or not len(truth) or 0 in images.shape:
        raise InputError(
            f"{images.path.name!r} holds {images.shape[0]} pictures of {images.shape[2]} x {images.shape[1]} pixels, "
            f"{labels_path.name!r} {len(truth)} labels",
            "do these two files belong together?",
        )
    note = f"evaluated on {images.path.name}; left aside: {', '.join(other.name for other in candidates[1:])}"
    return IdxDataset(
        images=images,
        labels_path=labels_path,
        labels=tuple(str(number) for number in range(int(truth.max()) + 1)),
        notes=(note,) if len(candidates) > 1 else (),
    )


def _labels_beside(images: Path) -> Path:
    stem = images.name.removesuffix(".gz").removesuffix(IMAGES) + LABELS
    choices = (images.with_name(stem), images.with_name(f"{stem}.gz"))
    found = next((choice for choice in choices if choice.is_file()), None)
    if found is None:
        raise InputError(f"{images.name!r} has no labels beside it", f"put {stem}(.gz) into {str(images.parent)!r}")
    return found
