"""MNIST in a folder: which files are there, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, NotFound
from edgekit.tasks.data.idx import read_labels
from edgekit.tasks.data.mnist import IMAGES, idx_images, open_pair
from edgekit.train.network import CLASSES, SIDE


class Pair(NamedTuple):
    """Digits, uint8 [N, 28, 28] (white ink on black), their labels, int64 [N], and the files they came from."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    files: tuple[Path, Path]


def training_pair(folder: Path) -> Pair:
    """The training set in `folder`. Raises `NotFound` when it is not there, `InputError` when it is damaged."""
    pair = _pair(folder, "train")
    if pair is None:
        raise NotFound(f"no train-{IMAGES}(.gz) in {str(folder)!r}", "add --download to fetch MNIST into that folder")
    return pair


def test_pair(folder: Path) -> Pair | None:
    """The test set in `folder`, all of it or a part (`t10k-…`, `t10k-dev-…`), or None when there is none."""
    return _pair(folder, "t10k")


def _pair(folder: Path, prefix: str) -> Pair | None:
    """The pair whose names start with `prefix`, or None."""
    found = [path for path in (idx_images(folder) if folder.is_dir() else ()) if path.name.startswith(prefix)]
    if not found:
        return None
    pair = open_pair(found[0])
    images, labels = np.stack(tuple(pair.images)), read_labels(pair.labels_path)
    if images.shape[1:] != (SIDE, SIDE) or int(labels.max()) >= CLASSES:
        raise InputError(
            f"{found[0].name!r} holds pictures of {images.shape[2]} x {images.shape[1]} pixels and labels up to {labels.max()}, "
            f"digits are {SIDE} x {SIDE} with labels up to {CLASSES - 1}",
            "is this MNIST?",
        )
    return Pair(images, labels, (found[0], pair.labels_path))
