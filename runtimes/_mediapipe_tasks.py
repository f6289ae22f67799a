"""MediaPipe's tasks as arrays: how each is opened, and where its answer goes. Imports nothing of MediaPipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import DeviceError

MOST = 16
"""Of what a task may find in one picture; what it scores lowest is left out."""
MOST_POSES = 4
FACE_POINTS = 6
POSE_POINTS = 33
Into = MutableMapping[str, NDArray[Any]]
Size = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One kind of task: its class, its options, the method that is asked, and what it gives by name."""

    engine: str
    ask: str
    outputs: Mapping[str, tuple[int, ...]]
    """Shapes, where the file does not say otherwise."""
    fill: Callable[[Any, Into, Size], None]
    """MediaPipe's answer into arrays of zeros; the size is the picture's height and width."""
    options: Mapping[str, Any] = field(default_factory=dict)


def boxes_of(most: int) -> dict[str, tuple[int, ...]]:
    """The arrays of a detector, as TFLite_Detection_PostProcess has them: top, left, bottom, right as shares of the picture."""
    return {"boxes": (1, most, 4), "classes": (1, most), "scores": (1, most), "count": (1,)}


def _scores(answer: Any, into: Into, size: Size) -> None:
    for category in answer.classifications[0].categories:
        _ensure(category.index < into["scores"].shape[1], "classes", category.index + 1, into["scores"])
        into["scores"][0, category.index] = category.score


def _embedding(answer: Any, into: Into, size: Size) -> None:
    found = np.asarray(answer.embeddings[0].embedding).ravel()
    _ensure(found.size == into["embedding"].shape[1], "numbers", found.size, into["embedding"])
    into["embedding"][0] = found


def _detections(answer: Any, into: Into, size: Size) -> None:
    height, width = size
    found = _counted(answer.detections, into)
    for row, one in enumerate(found):
        box, category = one.bounding_box, one.categories[0]
        top, left = box.origin_y, box.origin_x
        into["boxes"][0, row] = (top / height, left / width, (top + box.height) / height, (left + box.width) / width)
        into["classes"][0, row], into["scores"][0, row] = category.index, category.score


def _faces(answer: Any, into: Into, size: Size) -> None:
    _detections(answer, into, size)
    for row, one in enumerate(answer.detections[: into["keypoints"].shape[1]]):
        for column, point in enumerate(one.keypoints[: into["keypoints"].shape[2]]):
            into["keypoints"][0, row, column] = (point.x, point.y)


def _poses(answer: Any, into: Into, size: Size) -> None:
    _counted(answer.pose_landmarks, into)
    for name, poses, wanted in (
        ("landmarks", answer.pose_landmarks, ("x", "y", "z", "visibility", "presence")),
        ("world_landmarks", answer.pose_world_landmarks, ("x", "y", "z")),
    ):
        rows = into[name][0]
        for row, pose in enumerate(poses[: len(rows)]):
            _ensure(len(pose) == rows.shape[1], "points", len(pose), into[name])
            rows[row] = [[getattr(point, part) or 0.0 for part in wanted] for point in pose]


def _counted(found: Sequence[Any], into: Into) -> Sequence[Any]:
    """As many as there is room for, counted."""
    room = next(array.shape[1] for array in into.values() if array.ndim > 1)
    into["count"][0] = min(len(found), room)
    return found[:room]


def _ensure(fits: bool, what: str, number: int, array: NDArray[Any]) -> None:
    if not fits:
        raise DeviceError(f"mediapipe gave {number} {what}, and the manifest says {list(array.shape)}")


TASKS: Mapping[str, Task] = {
    "image-classifier": Task(engine="ImageClassifier", ask="classify", outputs={"scores": (1, 0)}, fill=_scores),
    "image-embedder": Task(engine="ImageEmbedder", ask="embed", outputs={"embedding": (1, 0)}, fill=_embedding),
    "object-detector": Task(
        engine="ObjectDetector",
        ask="detect",
        outputs=boxes_of(MOST),
        fill=_detections,
        options={"max_results": MOST, "score_threshold": 0.0},
    ),
    "face-detector": Task(
        engine="FaceDetector", ask="detect", outputs={**boxes_of(MOST), "keypoints": (1, MOST, FACE_POINTS, 2)}, fill=_faces
    ),
    "pose-landmarker": Task(
        engine="PoseLandmarker",
        ask="detect",
        outputs={
            "landmarks": (1, MOST_POSES, POSE_POINTS, 5),
            "world_landmarks": (1, MOST_POSES, POSE_POINTS, 3),
            "count": (1,),
        },
        fill=_poses,
        options={"num_poses": MOST_POSES},
    ),
}
"""By the name that a manifest has as its target's dialect."""
