"""Faces, taken out of pictures that are shown or kept: a coarse mosaic over every head that is known of.

Where a person's pose was found, the head is where its nose, eyes and ears are; where not, it is taken to be in the upper part
of the box, and of a box that is wider than tall the whole. What this cannot do: a person whom the detector does not find, or
has not found yet, keeps the face, and so do pictures of faces on walls and screens. Who must not be seen at all needs a mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.analysis.analyst import Look
from edgekit.apps.vision.poses.keypoints import SHOULDERS, Pose

Picture = NDArray[np.uint8]
Region = NDArray[np.float64]
PERSON, HEAD = 0, (0, 1, 2, 3, 4)
SEEN = 0.2
UPPER = 1 / 3
"""Of a standing person's box, the part in which the head is; people who stoop or sit hold it lower than an eighth."""
OF_SHOULDERS, OF_SPREAD, OF_BOX = 0.9, 1.6, 0.11
"""Half a head's side: in widths of the shoulders, in distances of face points from their middle, and in heights of the box."""
CELLS = 4
"""A head becomes so many fields in each direction."""


def blurred(picture: Picture, look: Look) -> Picture:
    """A copy of `picture` ([h, w, 3], the look's frame at any size) without the faces of the people in it."""
    found: Picture = picture.copy()
    scale = np.array([picture.shape[1] / look.frame.width, picture.shape[0] / look.frame.height] * 2)
    for region in heads(look):
        _mosaic(found, region * scale)
    return found


def heads(look: Look) -> Iterator[Region]:
    """Where faces may be, (x1, y1, x2, y2) in pixels of the frame; also of people whom this very frame does not show."""
    tracks = look.people.tracks
    for row in np.flatnonzero(tracks.class_ids == PERSON):
        box, pose = tracks.boxes[row], look.people.poses.get(int(tracks.ids[row]))
        head = None if pose is None else head_of(pose, box)
        yield upper_part(box) if head is None else head


def head_of(pose: Pose, box: Region) -> Region | None:
    """The square around the face's points; None where fewer than two are seen."""
    seen = [index for index in HEAD if pose.scores[index] >= SEEN]
    if len(seen) < 2:
        return None
    points = pose.points[seen]
    middle = points.mean(axis=0)
    spread = float(np.abs(points - middle).max()) * OF_SPREAD
    left, right = (pose.points[index] for index in SHOULDERS)
    broad = float(np.hypot(*(left - right))) * OF_SHOULDERS if min(pose.scores[list(SHOULDERS)]) >= SEEN else 0.0
    half = max(spread, broad / 2, float(max(box[2] - box[0], box[3] - box[1])) * OF_BOX)
    return np.concatenate([middle - half, middle + half])


def upper_part(box: Region) -> Region:
    """Where the head of somebody without a pose may be."""
    if box[2] - box[0] > box[3] - box[1]:
        return box
    return np.array([box[0], box[1] - (box[3] - box[1]) * 0.05, box[2], box[1] + (box[3] - box[1]) * UPPER])


def _mosaic(picture: Picture, region: Region) -> None:
    """Replace the region of a picture that is ours by the means of a few fields."""
    x1, y1 = np.maximum(np.floor(region[:2]), 0).astype(int)
    x2, y2 = np.minimum(np.ceil(region[2:]), (picture.shape[1], picture.shape[0])).astype(int)
    if x1 >= x2 or y1 >= y2:
        return
    for top, bottom in _stretches(y1, y2):
        for left, right in _stretches(x1, x2):
            picture[top:bottom, left:right] = picture[top:bottom, left:right].mean(axis=(0, 1)).round().astype(np.uint8)


def _stretches(start: int, end: int) -> Iterator[tuple[int, int]]:
    edges = np.linspace(start, end, min(CELLS, end - start) + 1).round().astype(int)
    yield from pairwise(edges.tolist())
