"""Filters for fun: glasses, a hat or a moustache on every face of the live picture, drawn from scratch and held by its points.

A face is given by the two eyes and the nose, from a pose or from a face detector's landmarks; what is drawn is measured in distances of
the eyes, and turns with them. Only what is shown live is decorated: snapshots and clips stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.analysis.analyst import Look
from edgekit.apps.vision.poses.keypoints import Pose
from edgekit.apps.vision.rules.settings import Filter
from edgekit.core.optional import need

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]
FILTERS: tuple[Filter, ...] = get_args(Filter)
NOSE, LEFT_EYE, RIGHT_EYE = 0, 1, 2
SEEN = 0.2
LEAST_PX = 4.0
"""Eyes nearer to each other than this are of somebody far away, or seen from the side."""
DARK, RED, BROWN, GLASS = (24, 24, 28, 255), (196, 40, 52, 255), (72, 44, 26, 255), (120, 190, 255, 90)
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 33)), np.sin(np.linspace(0, 2 * np.pi, 33))], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Where a face's eyes and nose are, [2] (x, y) in pixels; the left eye is the person's own."""

    left_eye: Points
    right_eye: Points
    nose: Points

    def places(self, points: Points) -> list[tuple[float, float]]:
        """Points [N, 2], in distances of the eyes from the middle between them, as pixels; x goes to the left eye, y to the chin."""
        across = self.left_eye - self.right_eye
        down = np.array([-across[1], across[0]])
        found = (self.left_eye + self.right_eye) / 2 + points[:, :1] * across + points[:, 1:] * down
        return [(float(x), float(y)) for x, y in found]

    def measured(self, place: Points) -> Points:
        """The way back: a place [2] in pixels, in distances of the eyes from the middle between them."""
        across = self.left_eye - self.right_eye
        off = place - (self.left_eye + self.right_eye) / 2
        return np.array([off @ across, off @ (-across[1], across[0])]) / (across @ across)

    @property
    def eyes_px(self) -> float:
        """How far apart the eyes are."""
        return float(np.hypot(*(self.left_eye - self.right_eye)))


def face_of(pose: Pose) -> Face | None:
    """The face of a pose; None where an eye or the nose is not seen."""
    if pose.scores[[NOSE, LEFT_EYE, RIGHT_EYE]].min() < SEEN:
        return None
    return Face(left_eye=pose.points[LEFT_EYE], right_eye=pose.points[RIGHT_EYE], nose=pose.points[NOSE])


def face_of_landmarks(landmarks: NDArray[np.floating[Any]]) -> Face:
    """The face of YuNet's five landmarks [5, 2]: right eye, left eye, nose, and the corners of the mouth."""
    right_eye, left_eye, nose = landmarks[:3].astype(np.float64)
    return Face(left_eye=left_eye, right_eye=right_eye, nose=nose)


def filtered(picture: Picture, look: Look, name: Filter) -> Picture:
    """The picture ([h, w, 3], the look's frame at any size) with the filter on every face whose eyes and nose were seen."""
    scale = np.array([picture.shape[1] / look.frame.width, picture.shape[0] / look.frame.height])
    return decorated(picture, _faces(look, scale), name)


def decorated(picture: Picture, faces: Iterator[Face] | Sequence[Face], name: Filter) -> Picture:
    """A copy of the picture with the filter on these faces; itself where there is nothing to draw."""
    large = [face for face in faces if face.eyes_px >= LEAST_PX]
    if name == "none" or not large:
        return picture
    image = need("PIL.Image").fromarray(picture)
    canvas = need("PIL.ImageDraw").Draw(image, "RGBA")
    for face in large:
        _DRAWN[name](canvas, face)
    return np.asarray(image)


def _faces(look: Look, scale: Points) -> Iterator[Face]:
    for pose in look.people.poses.values():
        face = face_of(pose)
        if face is not None:
            yield Face(left_eye=face.left_eye * scale, right_eye=face.right_eye * scale, nose=face.nose * scale)


def _glasses(canvas: Any, face: Face) -> None:
    """A round glass before each eye, a bridge, and a side to each ear."""
    width = max(round(0.09 * face.eyes_px), 1)
    for side in (-0.5, 0.5):
        ring = face.places(0.4 * CIRCLE + (side, 0.0))
        canvas.polygon(ring, fill=GLASS)
        canvas.line(ring, fill=DARK, width=width, joint="curve")
        canvas.line(face.places(np.array([[2.2 * side, -0.12], [1.8 * side, -0.05]])), fill=DARK, width=width)
    canvas.line(face.places(np.array([[-0.12, -0.08], [0.0, -0.14], [0.12, -0.08]])), fill=DARK, width=width)


def _hat(canvas: Any, face: Face) -> None:
    """A top hat on the forehead."""
    brim, crown = (-1.7, -1.15, 1.7, -0.95), (-1.05, -2.6, 1.05, -1.15)
    for box, fill in ((crown, DARK), ((-1.05, -1.45, 1.05, -1.15), RED), (brim, DARK)):
        left, top, right, bottom = box
        canvas.polygon(face.places(np.array([[left, top], [right, top], [right, bottom], [left, bottom]])), fill=fill)


def _moustache(canvas: Any, face: Face) -> None:
    """Two wings below the nose."""
    middle = face.measured(face.nose) + np.array([0.0, 0.28])
    for side in (-1.0, 1.0):
        wing = np.array([[0.0, -0.08], [0.3, -0.12], [0.55, 0.0], [0.75, -0.14], [0.6, 0.16], [0.25, 0.16], [0.0, 0.06]])
        canvas.polygon(face.places(wing * (side, 1.0) + middle), fill=BROWN)


_DRAWN: Mapping[str, Callable[[Any, Face], None]] = {"glasses": _glasses, "hat": _hat, "moustache": _moustache}
