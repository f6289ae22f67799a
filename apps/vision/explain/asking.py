"""Asking the detector again about a changed picture, for as long as there is time."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.analysis.analyst import Finds
from edgekit.apps.vision.frames import Frame, Plane, from_rgb
from edgekit.apps.vision.tracking.assign import overlaps
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.tasks.pictures.resize import resize_bilinear

Map = NDArray[np.float32]
SIDE = 416
"""Longer side of the picture that is changed: as much as detectors look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`heat` float32 [H, W] of the frame, 0..1: what spoke for the detection. `calls` of the detector were made; `timed_out` says
    that the time was over before the method was."""

    heat: Map
    method: str
    timed_out: bool
    calls: int


class Asking:
    """How sure a detector is of one detection when the picture is another. Stops being asked when the time is over."""

    def __init__(self, detector: Finds, frame: Frame, detection: Boxes, *, until_s: float) -> None:
        ratio = min(1.0, SIDE / max(frame.width, frame.height))
        width, height = max(round(frame.width * ratio), 1), max(round(frame.height * ratio), 1)
        self.picture = frame.rgb(width, height)
        self.box = detection.boxes[0] * np.array([width / frame.width, height / frame.height] * 2)
        self.grey = grey_of(self.picture)
        self.calls, self.timed_out = 0, False
        self._detector, self._class_id, self._until_s = detector, int(detection.class_ids[0]), until_s

    def may_go_on(self) -> bool:
        """Whether there is time for another call; the first two are always made."""
        self.timed_out = self.calls >= 2 and perf_counter() >= self._until_s
        return not self.timed_out

    def certainty(self, picture: Plane) -> float:
        """Score times overlap of what the detector finds nearest to the detection in this picture of the same size."""
        self.calls += 1
        found = self._detector(from_rgb(picture, number=0, time_s=0.0))
        ids = np.full(1, self._class_id, np.int64)
        near = overlaps(self.box[None], found.boxes, ids, found.class_ids)[0]
        return float((near * found.scores).max(initial=0.0))

    def kept(self, mask: Map) -> Plane:
        """As `kept`, of this picture."""
        return kept(self.picture, self.grey, mask)


def grey_of(picture: Plane) -> Plane:
    """The mean colour [3], which covers what is not to be seen."""
    mean: Plane = picture.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    return mean


def kept(picture: Plane, grey: Plane, mask: Map) -> Plane:
    """The picture where `mask` [h, w] is 1, grey where it is 0, and between them between."""
    share = mask[:, :, None]
    mixed: Plane = (picture * share + grey * (1 - share)).astype(np.uint8)
    return mixed


def scaled(heat: Map) -> Map:
    """From 0 (and less) to 1 at the hottest; all 0 where nothing is."""
    positive = np.maximum(heat, 0)
    highest = float(positive.max(initial=0.0))
    found: Map = (positive / highest if highest > 0 else positive).astype(np.float32)
    return found


def shown_as(heat: Map, frame: Frame) -> Map:
    """The map at the frame's size, scaled to 0..1."""
    return enlarged(scaled(heat), frame.height, frame.width)


def enlarged(heat: Map, height: int, width: int) -> Map:
    """The map at another size, without steps; values in 0..1."""
    bytes_ = np.repeat((heat * 255 + 0.5).astype(np.uint8)[:, :, None], 3, axis=2)
    found: Map = resize_bilinear(bytes_, height, width)[:, :, 0].astype(np.float32) / np.float32(255)
    return found
