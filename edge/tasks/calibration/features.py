"""Calibration feeds from labelled arrays: the features of an `.npz` that is also good for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.calibration.arrays import evenly
from edgekit.tasks.data.archives import Scratch, mapped, unpacked
from edgekit.tasks.data.feeds import feed_of
from edgekit.tasks.data.npz import features_of, sample_of

Arrays = Mapping[str, NDArray[Any]]
UNKNOWN_CLASS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFeeds:
    """Some rows of an array of features or pictures, each made into what the model sees."""

    path: Path
    features: NDArray[Any]
    chosen: tuple[int, ...]
    preprocess: Preprocess | None
    inputs: tuple[TensorSpec, ...]
    keep: object
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        return sha256_bytes(f"{sha256_file(self.path)} {self.chosen}".encode())

    def __len__(self) -> int:
        return len(self.chosen)

    def __iter__(self) -> Iterator[Arrays]:
        for index in self.chosen:
            sample = sample_of(self.features[index], f"{self.path.name}#{index}", UNKNOWN_CLASS)
            yield feed_of(sample, self.preprocess, self.inputs).feed


def feature_feeds(path: Path, preprocess: Preprocess | None, inputs: Sequence[TensorSpec], limit: int) -> FeatureFeeds | None:
    """Feeds from the features of a labelled `.npz`, or None when its arrays are the model's inputs themselves."""
    scratch = Scratch()
    members = unpacked(path, scratch.path)
    if len(inputs) != 1 or len(members) == 1 or inputs[0].name in members:
        return None
    features = features_of({name: mapped(member) for name, member in members.items()}, path)
    chosen = evenly(len(features), limit)
    return FeatureFeeds(path=path, features=features, chosen=chosen, preprocess=preprocess, inputs=tuple(inputs), keep=scratch)
