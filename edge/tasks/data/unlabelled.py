"""Pictures without labels, and the labels that a reference model gives them: how agreement with a model is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.data.picture_files import PictureFiles
from edgekit.tasks.data.samples import Dataset, Sample
from edgekit.tasks.pictures.images import list_images, read_image

Label = Callable[[Sample], Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures(PictureFiles):
    """Every picture under a folder, in the order of their names."""

    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    task: Literal["unlabelled"] = "unlabelled"

    def __iter__(self) -> Iterator[Sample]:
        for path in self.paths:
            name = path.relative_to(self.folder).as_posix()
            yield Sample(name=name, image=read_image(path), class_ids=np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledBy:
    """`pictures` with what `label` says of them for the truth; each is asked about once, however often one iterates."""

    pictures: Dataset
    label: Label
    labels: tuple[str, ...]
    task: Literal["classification", "detection"]
    _known: dict[str, Mapping[str, NDArray[Any] | None]] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.pictures.notes, "there are no labels: measured is the agreement with the source model's own answers")

    @property
    def sha256(self) -> str:
        return self.pictures.sha256

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[Sample]:
        for sample in self.pictures:
            if sample.name not in self._known:
                told = self.label(sample)
                self._known[sample.name] = {"class_ids": told.class_ids, "boxes": told.boxes, "crowd": told.crowd}
            yield replace(sample, **self._known[sample.name])  # type: ignore[arg-type]


def open_pictures(folder: Path) -> Pictures:
    """The pictures under `folder`. Raises `InputError` when there are none."""
    listing = list_images(folder)
    skipped = (f"passed over: {listing.skipped} files that are not pictures",) if listing.skipped else ()
    return Pictures(folder=folder, paths=listing.paths, notes=skipped)
