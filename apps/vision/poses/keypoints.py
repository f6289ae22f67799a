"""The 17 points of COCO on people, and the pose models that find one person in a crop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.frames import Frame
from edgekit.core.errors import Unsupported
from edgekit.runtimes.base import Arrays
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.heads import blazepose, movenet

Floats = NDArray[np.float64]
NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
NOSE, SHOULDERS, ELBOWS, WRISTS = 0, (5, 6), (7, 8), (9, 10)
HIPS, KNEES, ANKLES = (11, 12), (13, 14), (15, 16)
SEEN, INSIDE = 0.2, 0.5
"""Joints of a lower score say nothing of where somebody is; so much of a person must lie in the region that is asked about."""
MARGIN = 1.25
"""A crop is this much larger than the longer side of its box: limits reach out of boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """One person: `points` float64 [17, 2] (x, y) in pixels of the frame, `scores` [17] in 0..1."""

    points: Floats
    scores: Floats

    def middle(self, pair: tuple[int, int], least: float) -> Floats | None:
        """The point between two joints, or the one of them that is seen; None when neither reaches the score."""
        seen = [index for index in pair if self.scores[index] >= least]
        return None if not seen else np.asarray(self.points[seen].mean(axis=0))

    def box(self, least: float) -> Floats | None:
        """The box around the points that reach the score; None with fewer than five."""
        seen = self.points[self.scores >= least]
        return None if len(seen) < 5 else np.concatenate([seen.min(axis=0), seen.max(axis=0)])

    def fit(self, box: NDArray[np.floating[Any]]) -> float:
        """How much of the box around the points that are seen and of `box` is both of theirs; 0 where most of the person lies outside."""
        seen = self.points[self.scores >= SEEN]
        if len(seen) < 2:
            return 0.0
        low, high = seen.min(axis=0), seen.max(axis=0)
        shared = float(np.clip(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0, None).prod())
        own = float((high - low).prod())
        if own <= 0 or shared < INSIDE * own:
            return 0.0
        return shared / (own + float((box[2:] - box[:2]).prod()) - shared)


def nobody() -> Pose:
    """What is said where nobody is seen: points without any certainty."""
    return Pose(points=np.zeros((len(NAMES), 2)), scores=np.zeros(len(NAMES)))


class PoseNetwork(Protocol):
    """A pose model that is open: asked about one region of a frame, turned by quarters."""

    def __call__(self, frame: Frame, box: NDArray[np.floating[Any]], turned: int = 0, /) -> Pose: ...


class SinglePose:
    """A model that is shown one person, upright, in a square: MoveNet, or MediaPipe's pose landmarker."""

    def __init__(self, session: FaceSession) -> None:
        """Raises `Unsupported` for a model of another form."""
        self._session, self._input = session, session.inputs[0]
        self._people = _reader(session)

    def __call__(self, frame: Frame, box: NDArray[np.floating[Any]], turned: int = 0) -> Pose:
        """The pose of the person in `box` (x1, y1, x2, y2 in pixels of the frame), shown to the model turned by quarters: it
        was taught with people upright, and finds one lying on the side when the picture is turned."""
        square = square_around(box)
        crop = frame.square(square, self._input.shape[1])
        crop = np.ascontiguousarray(np.rot90(crop, turned))
        people = self._people(self._session.run({self._input.name: crop[None].astype(self._input.dtype)})).astype(np.float64)
        left, top = (np.floor(edge / 2) * 2 for edge in square[:2])
        side = max(np.ceil(max(square[2] - square[0], square[3] - square[1]) / 2) * 2, 8)
        poses = [Pose(points=_turned_back(rows[:, :2], turned) * side + (left, top), scores=rows[:, 2]) for rows in people]
        return max(poses, key=lambda pose: pose.fit(box), default=nobody())

    def close(self) -> None:
        self._session.close()


def _reader(session: FaceSession) -> Callable[[Arrays], NDArray[np.float32]]:
    """What makes of a model's answer the people in its square: [N, 17, 3] of x, y (shares of it) and how sure."""
    shape, outputs = session.inputs[0].shape, [spec.shape for spec in session.outputs]
    if len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3:
        if outputs in ([(1, 1, 17, 3)], [(1, 17, 3)]):
            return lambda answer: movenet.joints(answer)[None]
        if blazepose.recognise(session.inputs, session.outputs) is not None:
            return blazepose.people
    raise Unsupported(
        f"a pose model takes [1, side, side, 3] and gives [1, 1, 17, 3], this one takes {list(shape)} and gives "
        f"{', '.join(str(list(shape)) for shape in outputs)}",
        "MoveNet single pose, lightning or thunder, or MediaPipe's pose landmarker (a .task file)",
    )


def _turned_back(points: Floats, turned: int) -> Floats:
    """Shares (x, y) of a square turned counter-clockwise by quarters, in the square as it was."""
    for _ in range(turned % 4):
        points = np.stack([1 - points[:, 1], points[:, 0]], axis=1)
    return points


def square_around(box: NDArray[np.floating[Any]]) -> Floats:
    """The square around a box's middle, `MARGIN` times its longer side."""
    middle, half = (box[:2] + box[2:]) / 2, max(box[2] - box[0], box[3] - box[1], 8.0) * MARGIN / 2
    return np.concatenate([middle - half, middle + half]).astype(np.float64)
