"""Labelled arrays in one `.npz`: features (or pictures) and their classes, whatever the arrays are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_file
from edgekit.tasks.data.archives import Scratch, mapped, unpacked
from edgekit.tasks.data.samples import Sample

FEATURES = ("x", "features", "feature", "images", "image", "data", "inputs", "input", "x_test")
LABELS = ("y", "labels", "label", "targets", "target", "classes", "class_ids", "y_test")
CLASS_NAMES = ("class_names", "label_names")
HINT = "write it with numpy.savez(FILE, features=[N, ...], labels=[N])"

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NpzDataset:
    """`features` [N, ...] and the class of each; uint8 [N, h, w], [N, h, w, 1] and [N, h, w, 3] are pictures.

    Without class names a class is called by its number. `keep` is what the arrays are mapped from.
    """

    path: Path
    features: Array
    class_ids: NDArray[np.int64]
    labels: tuple[str, ...]
    keep: object = None
    notes: tuple[str, ...] = ()
    task: Literal["classification"] = "classification"

    @property
    def sha256(self) -> str:
        return sha256_file(self.path)

    def __len__(self) -> int:
        return len(self.features)

    def __iter__(self) -> Iterator[Sample]:
        for index, label in enumerate(self.class_ids):
            yield sample_of(self.features[index], f"{self.path.name}#{index}", np.array([label]))


def open_npz(path: Path) -> NpzDataset:
    """The labelled arrays of an `.npz`: by their usual names (`features` and `labels`, `x` and `y`), else by their shapes.

    Raises `InputError` when it is damaged, when it is not clear which arrays are meant, or when their lengths differ.
    """
    scratch = Scratch()
    arrays = {name: mapped(member) for name, member in unpacked(path, scratch.path).items()}
    features = features_of(arrays, path)
    truth = _labels_of(arrays, len(features), path)
    labels, class_ids = _classes(truth, _class_names(arrays, path), path)
    return NpzDataset(path=path, features=features, class_ids=class_ids, labels=labels, keep=scratch)


def features_of(arrays: Mapping[str, Array], path: Path) -> Array:
    """The array of numbers [N, ...] that a model would be given. Raises `InputError` when none or several could be it."""
    fitting = {name: array for name, array in arrays.items() if array.dtype.kind in "fiu" and array.ndim > 1}
    found = _meant(fitting, FEATURES)
    if found is None or not len(found):
        raise InputError(f"{_contents(arrays, path)}: which are the features is not clear", HINT)
    return found


def sample_of(feature: Array, name: str, class_ids: NDArray[np.int64]) -> Sample:
    """One row as a sample: a picture when it looks like one, else features for the model as they are."""
    if feature.dtype == np.uint8 and (feature.ndim == 2 or (feature.ndim == 3 and feature.shape[2] in (1, 3))):
        pixels = feature[:, :, None] if feature.ndim == 2 else feature
        colours = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.array(pixels)
        return Sample(name=name, image=colours, class_ids=class_ids)
    return Sample(name=name, features=np.array(feature), class_ids=class_ids)


def _labels_of(arrays: Mapping[str, Array], count: int, path: Path) -> Array:
    flat = {name: array.reshape(-1) for name, array in arrays.items() if array.size == count and array.dtype.kind in "iuU"}
    numbers = {name: array for name, array in flat.items() if array.dtype.kind != "U"}
    found = _meant(flat, LABELS, by_shape=numbers or flat)
    if found is None:
        raise InputError(f"{_contents(arrays, path)}: which are the {count} labels is not clear", HINT)
    return found


def _meant(arrays: Mapping[str, Array], names: tuple[str, ...], by_shape: Mapping[str, Array] | None = None) -> Array | None:
    """The array with one of the usual names, else the only one there is, else None."""
    plain = {name.casefold(): array for name, array in arrays.items()}
    named = next((plain[name] for name in names if name in plain), None)
    candidates = list((arrays if by_shape is None else by_shape).values())
    return named if named is not None else candidates[0] if len(candidates) == 1 else None


def _class_names(arrays: Mapping[str, Array], path: Path) -> tuple[str, ...]:
    found = next((arrays[name] for name in CLASS_NAMES if name in arrays), None)
    if found is None:
        return ()
    names = tuple(str(name) for name in found.reshape(-1))
    if found.dtype.kind != "U" or len(set(names)) != len(names):
        raise InputError(f"the class names in {str(path)!r} are not different texts", HINT)
    return names


def _classes(truth: Array, names: tuple[str, ...], path: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The labels, and each sample's position among them; without names the numbers themselves are the labels."""
    present, positions = np.unique(truth, return_inverse=True)
    if truth.dtype.kind != "U" and (present[0] < 0 or (names and present[-1] >= len(names))):
        limit = f"0 to {len(names) - 1}" if names else "0 and more"
        raise InputError(f"the labels in {str(path)!r} go from {present[0]} to {present[-1]}, classes are {limit}", HINT)
    if names and truth.dtype.kind != "U":
        return names, truth.astype(np.int64)
    return tuple(str(value) for value in present), positions.reshape(-1).astype(np.int64)


def _contents(arrays: Mapping[str, Array], path: Path) -> str:
    listed = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items())
    return f"{str(path)!r} holds {listed}"
