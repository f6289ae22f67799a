"""The 17 points of COCO on people, and the pose models that find one person in a crop, several crops at once where they can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where in a frame somebody is looked for: `box` (x1, y1, x2, y2 in pixels), shown to the model `turned` by quarters."""

    box: NDArray[np.floating[Any]]
    turned: int = 0


class PoseNetwork(Protocol):
    """A pose model that is open."""

    def poses(self, frame: Frame, regions: Sequence[Region], /) -> list[Pose]:
        """The pose in each of the regions, in their order."""
        ...


class SinglePose:
    """A model that is shown people one to a square, upright: MoveNet, or MediaPipe's pose landmarker.

    As many squares as its input's first dimension says go in at once. MoveNet as published takes one.
    """

    def __init__(self, session: FaceSession) -> None:
        """Raises `Unsupported` for a model of another form."""
        self._session, self._input = session, session.inputs[0]
        self._people = _reader(session)

    def __call__(self, frame: Frame, box: NDArray[np.floating[Any]], turned: int = 0) -> Pose:
        """The pose in one region."""
        return self.poses(frame, [Region(box=box, turned=turned)])[0]

    def poses(self, frame: Frame, regions: Sequence[Region]) -> list[Pose]:
        """The poses of the people in the regions. A model is taught with people upright, and finds one lying on the side when the
        picture is turned."""
        batch = self._input.shape[0]
        found: list[Pose] = []
        for start in range(0, len(regions), batch):
            asked = regions[start : start + batch]
            found += map(_best, asked, self._answers(frame, asked))
        return found

    def _answers(self, frame: Frame, regions: Sequence[Region]) -> Iterator[Floats]:
        """The people in each square: [N, 17, 3]. Where there are fewer squares than the model takes the rest stays black."""
        squares = np.zeros(self._input.shape, self._input.dtype)
        for row, region in enumerate(regions):
            squares[row] = np.rot90(frame.square(square_around(region.box), self._input.shape[1]), region.turned)
        people = self._people(self._session.run({self._input.name: squares}))
        return (each.astype(np.float64) for each in people[: len(regions)])

    def close(self) -> None:
        self._session.close()


def _best(region: Region, people: Floats) -> Pose:
    """Of the people in the region's square the one that fits its box, in pixels of the frame."""
    square = square_around(region.box)
    left, top = (np.floor(edge / 2) * 2 for edge in square[:2])
    side = max(np.ceil(max(square[2] - square[0], square[3] - square[1]) / 2) * 2, 8)
    poses = [Pose(points=_turned_back(rows[:, :2], region.turned) * side + (left, top), scores=rows[:, 2]) for rows in people]
    return max(poses, key=lambda pose: pose.fit(region.box), default=nobody())


def _reader(session: FaceSession) -> Callable[[Arrays], Sequence[NDArray[np.floating[Any]]]]:
    """What makes of a model's answer the people in each of its squares: [N, 17, 3] of x, y (shares of the square) and how sure."""
    shape, outputs = session.inputs[0].shape, [spec.shape for spec in session.outputs]
    if len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3:
        if outputs in ([(shape[0], 1, movenet.POINTS, 3)], [(shape[0], movenet.POINTS, 3)]):
            return lambda answer: list(movenet.people(answer, shape[0])[:, None])
        if blazepose.recognise(session.inputs, session.outputs) is not None:
            return lambda answer: [blazepose.people(answer)]
    raise Unsupported(
        f"a pose model takes [N, side, side, 3] and gives [N, 1, 17, 3], this one takes {list(shape)} and gives "
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
