"""Tracks as columns, and detections without identity: the values between the tracker and everything behind it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.segments import Segments

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """Detections of one frame: `boxes` float64 [N, 4] (x1, y1, x2, y2) in its pixels, `scores` [N], `class_ids` int64 [N]; of a
    detector that segments, what their shapes are put together from."""

    boxes: Floats
    scores: Floats
    class_ids: Ints
    segments: Segments | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: NDArray[Any]) -> Boxes:
        """Those of the given rows, or of a mask."""
        rows = rows.nonzero()[0] if rows.dtype == np.bool_ else rows
        return Boxes(
            boxes=self.boxes.take(rows, axis=0),
            scores=self.scores.take(rows),
            class_ids=self.class_ids.take(rows),
            segments=None if self.segments is None else self.segments.take(rows),
        )  # in half the time of an index


def no_boxes() -> Boxes:
    """Nothing found."""
    return Boxes(boxes=np.empty((0, 4)), scores=np.empty(0), class_ids=np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Things that are being followed, oldest first. `ids` are never given twice; `since_s` is when each was first seen, `seen_s`
    when last; `fresh` says whether this very frame showed it, else its box is where it should be by now."""

    ids: Ints
    boxes: Floats
    scores: Floats
    class_ids: Ints
    since_s: Floats
    seen_s: Floats
    fresh: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[Any]) -> Tracks:
        """Those of the given rows, or of a mask."""
        return Tracks(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def no_tracks() -> Tracks:
    """Nothing followed."""
    empty, ints = np.empty(0), np.empty(0, np.int64)
    return Tracks(
        ids=ints,
        boxes=np.empty((0, 4)),
        scores=empty,
        class_ids=ints,
        since_s=empty,
        seen_s=empty,
        fresh=np.empty(0, np.bool_),
    )
