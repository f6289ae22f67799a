"""Calibration feeds from pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.calibration.arrays import evenly
from edgekit.tasks.data.feeds import as_stored
from edgekit.tasks.data.idx import IdxFile, open_idx
from edgekit.tasks.data.mnist import idx_images
from edgekit.tasks.data.picture_files import PictureFiles
from edgekit.tasks.pictures.images import list_images, read_image
from edgekit.tasks.pictures.preprocess import prepare

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFeeds(PictureFiles):
    """Pictures of a folder that were found to decode."""

    preprocess: Preprocess
    spec: TensorSpec
    notes: tuple[str, ...]

    def __iter__(self) -> Iterator[Arrays]:
        for path in self.paths:
            yield {self.spec.name: prepared_input(read_image(path), self.preprocess, self.spec, path.name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxFeeds:
    """Some pictures of an idx file."""

    images: IdxFile
    chosen: tuple[int, ...]
    preprocess: Preprocess
    spec: TensorSpec
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        return sha256_bytes(f"{sha256_file(self.images.path)} {self.chosen}".encode())

    def __len__(self) -> int:
        return len(self.chosen)

    def __iter__(self) -> Iterator[Arrays]:
        wanted = frozenset(self.chosen)
        for index, pixels in enumerate(islice(self.images, self.chosen[-1] + 1)):
            if index in wanted:
                image = np.repeat(pixels[:, :, None], 3, axis=2)
                yield {self.spec.name: prepared_input(image, self.preprocess, self.spec, f"{self.images.path.name}#{index}")}


def picture_feeds(folder: Path, preprocess: Preprocess, inputs: Sequence[TensorSpec], limit: int) -> PictureFeeds:
    """Feeds from the pictures under `folder`, or from the one picture that `folder` is; what does not decode is passed over."""
    spec = picture_spec(preprocess, inputs)
    root, paths, notes = (folder.parent, (folder,), []) if folder.is_file() else _listed(folder)
    chosen = [paths[index] for index in evenly(len(paths), limit)]
    wrong = {path: reason for path in chosen if (reason := _reason_against(path))}
    good = tuple(path for path in chosen if path not in wrong)
    if not good:
        raise InputError(f"none of the {len(chosen)} pictures in {str(folder)!r} decodes: {next(iter(wrong.values()))}")
    notes += [f"calibration passed over {path.name}: {reason}" for path, reason in wrong.items()]
    return PictureFeeds(folder=root, paths=good, preprocess=preprocess, spec=spec, notes=tuple(notes))


def idx_feeds(path: Path, preprocess: Preprocess, inputs: Sequence[TensorSpec], limit: int) -> IdxFeeds | None:
    """Feeds from the idx pictures at `path` (training pictures before test pictures), or None when there are none."""
    candidates = idx_images(path)
    if not candidates:
        return None
    images = open_idx(candidates[-1], axes=3)
    if 0 in images.shape:
        raise InputError(f"{str(images.path)!r} holds no pictures: its shape is {list(images.shape)}")
    spec = picture_spec(preprocess, inputs)
    return IdxFeeds(images=images, chosen=evenly(images.shape[0], limit), preprocess=preprocess, spec=spec)


def _listed(folder: Path) -> tuple[Path, tuple[Path, ...], list[str]]:
    listing = list_images(folder)
    skipped = [f"calibration passed over {listing.skipped} files that are not pictures"] if listing.skipped else []
    return folder, listing.paths, skipped


def picture_spec(preprocess: Preprocess, inputs: Sequence[TensorSpec]) -> TensorSpec:
    """The one input that pictures feed. Raises `InputError` when the model has others besides it."""
    if [spec.name for spec in inputs] != [preprocess.input]:
        names = ", ".join(spec.name for spec in inputs)
        raise InputError(
            f"pictures feed one input, {preprocess.input!r}; the model has: {names}", "give an .npz with these names"
        )
    return inputs[0]


def prepared_input(image: NDArray[np.uint8], preprocess: Preprocess, spec: TensorSpec, where: str) -> NDArray[Any]:
    """`image` as the model's input, rounded where that takes integers."""
    return as_stored(prepare(image, preprocess).array, spec, where)


def _reason_against(path: Path) -> str:
    """Why a picture does not decode, or nothing."""
    try:
        read_image(path)
    except InputError as error:
        return error.message
    return ""
