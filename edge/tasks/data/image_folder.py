"""Pictures in one folder per class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.core.errors import InputError
from edgekit.tasks.data.picture_files import PictureFiles
from edgekit.tasks.data.samples import Sample
from edgekit.tasks.pictures.images import list_images, read_image


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFolder(PictureFiles):
    """`FOLDER/CLASS/…/picture`: the class is the name of the first folder, and labels are these names in order."""

    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    task: Literal["classification"] = "classification"

    def __iter__(self) -> Iterator[Sample]:
        ids = {label: index for index, label in enumerate(self.labels)}
        for path in self.paths:
            relative = path.relative_to(self.folder)
            yield Sample(
                name=relative.as_posix(), image=read_image(path), class_ids=np.array([ids[relative.parts[0]]], dtype=np.int64)
            )


def open_image_folder(folder: Path) -> ImageFolder:
    """The labelled pictures under `folder`.

    Raises `InputError` when no picture lies in a sub-folder; pictures directly in `folder` have no class and are left out.
    """
    listing = list_images(folder)
    paths = tuple(path for path in listing.paths if len(path.relative_to(folder).parts) > 1)
    if not paths:
        raise InputError(
            f"{str(folder)!r} holds {len(listing.paths)} pictures but no folder per class",
            "put the pictures of each class into a folder named after it, or give a COCO JSON file",
        )
    loose = len(listing.paths) - len(paths)
    notes = [f"left out: {loose} pictures without a class folder"] if loose else []
    notes += [f"passed over: {listing.skipped} files that are not pictures"] if listing.skipped else []
    labels = tuple(sorted({path.relative_to(folder).parts[0] for path in paths}))
    return ImageFolder(folder=folder, paths=paths, labels=labels, notes=tuple(notes))


def has_classes(folder: Path) -> bool:
    """Whether any picture lies in a folder of its own class. Raises `InputError` when there is no picture at all."""
    return any(len(path.relative_to(folder).parts) > 1 for path in list_images(folder).paths)
