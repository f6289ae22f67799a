"""Pose models that find everybody in a picture at once: asked once for each frame, whose people are then told apart by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.poses.keypoints import Pose, PoseNetwork, Region, SinglePose, nobody
from edgekit.core.errors import Unsupported
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.pictures.preprocess import prepare

HEADS = ("posenet", "yolov8_pose", "yolov10_pose")
KEPT = 4
"""Answers that are remembered: cameras take turns, and a frame is asked about once for each person in it."""


def pose_model(session: FaceSession) -> PoseNetwork:
    """The model by what its artifact says of itself: everybody at once, or one person in a crop. Raises `Unsupported` for neither."""
    postprocess = session.artifact.manifest.postprocess
    if postprocess is not None and postprocess.head in HEADS:
        return ManyPoses(session)
    return SinglePose(session)


class ManyPoses:
    """PoseNet, YOLOv8-pose and their kin."""

    def __init__(self, session: FaceSession) -> None:
        manifest = session.artifact.manifest
        if manifest.preprocess is None or manifest.postprocess is None:
            raise Unsupported(f"the artifact {manifest.name!r} does not say how pictures go in and poses come out")
        self._session, self._preprocess, self._postprocess = session, manifest.preprocess, manifest.postprocess
        self._seen: list[tuple[Frame, int, Detections]] = []

    def __call__(self, frame: Frame, box: NDArray[np.floating[Any]], turned: int = 0) -> Pose:
        """The pose of whom of the frame's people `box` fits best, all looked for in the frame turned by quarters; one without any
        certainty where nobody is there."""
        people = self._people(frame, turned % 4)
        if people.keypoints is None or not len(people):
            return nobody()
        poses = [
            Pose(points=_turned_back(rows[:, :2], frame, turned % 4), scores=rows[:, 2])
            for rows in people.keypoints.astype(np.float64)
        ]
        best = max(poses, key=lambda pose: pose.fit(box))
        return best if best.fit(box) > 0 else nobody()

    def poses(self, frame: Frame, regions: Sequence[Region]) -> list[Pose]:
        """The pose in each of the regions; the model is asked once for each turn among them."""
        return [self(frame, region.box, region.turned) for region in regions]

    def _people(self, frame: Frame, turned: int) -> Detections:
        for known, quarters, people in self._seen:
            if known is frame and quarters == turned:
                return people
        picture = np.ascontiguousarray(np.rot90(frame.rgb(), turned))
        prepared = prepare(picture, self._preprocess)
        outputs = self._session.run({self._preprocess.input: prepared.array})
        people = detect(outputs, self._postprocess, self._preprocess, prepared.placement)
        self._seen = [*self._seen[1 - KEPT :], (frame, turned, people)]
        return people

    def close(self) -> None:
        self._session.close()


def _turned_back(points: NDArray[np.float64], frame: Frame, turned: int) -> NDArray[np.float64]:
    """Pixels of the frame turned counter-clockwise by quarters, in the frame as it was."""
    size = [frame.width, frame.height]
    for quarter in range(turned, 0, -1):
        width = size[0] if quarter % 2 else size[1]
        points = np.stack([width - points[:, 1], points[:, 0]], axis=1)
    return points
