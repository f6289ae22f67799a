"""What every labelled data set gives: samples one after the other, names of classes, a length and a hash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

DatasetTask = Literal["classification", "detection", "unlabelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture (`image`, [h, w, 3] uint8 RGB) or one array of `features`, and the truth about it.

    Features are what the model sees, or integers that its preprocessing turns into that. Classification: one entry in
    `class_ids` and no boxes. Detection: `boxes` float32 [N, 4] (x1, y1, x2, y2) in pixels, `class_ids` int64 [N], and `crowd`
    bool [N] where a box stands for a group. Ids are positions in the data set's `labels`; without labels there are none.
    """

    name: str
    class_ids: NDArray[np.int64]
    image: NDArray[np.uint8] | None = None
    features: NDArray[Any] | None = None
    boxes: NDArray[np.float32] | None = None
    crowd: NDArray[np.bool_] | None = None


class Dataset(Protocol):
    """Data on disk. Iterating decodes one sample at a time; the order is always the same."""

    @property
    def task(self) -> DatasetTask: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def sha256(self) -> str: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Sample]: ...
