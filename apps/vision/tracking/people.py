"""People in a frame: found by the detector, followed by the tracker, held by their poses where the detector loses them.

Detectors know people upright and lose them where they lie. A pose model looks where the track should be, and what it sees
there continues the track; weak detections and an empty scene in motion are shown to it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.poses.keypoints import HIPS, SHOULDERS, Pose, Region
from edgekit.apps.vision.tracking.assign import overlaps
from edgekit.apps.vision.tracking.bytetrack import ByteTrack
from edgekit.apps.vision.tracking.tracks import Boxes, Tracks, no_boxes

PoseModel = Callable[[Frame, Sequence[Region]], Sequence[Pose]]
"""The poses in some regions of a frame, all asked for in one call."""
UPRIGHT, ON_A_SIDE = (0,), (1, 3)
"""Quarter turns in which a region is shown to the pose model: those that the detector lost may lie on either side."""
PERSON = 0
SEARCH, ANOTHER = 1.35, 0.4
"""A lost track is looked for in a square of this times its longer side; overlap from which what is found is somebody else."""
GROWN = 1.1
"""A box around joints is this much smaller than the person in each direction: head and feet reach beyond them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseSettings:
    """When a pose is believed, and how many are looked for."""

    point_score: float = 0.2
    """A joint of this score is seen."""
    person_score: float = 0.3
    """Mean score of shoulders and hips from which a pose is a person."""
    per_frame: int = 4
    """Poses in one frame at most; the tracks take turns."""
    scout_s: float = 0.5
    """How often an empty frame in motion is looked at as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The tracks of a frame and the poses found in it, by track."""

    tracks: Tracks
    poses: Mapping[int, Pose]


class PeopleTracker:
    """Joins tracker and pose model. Without a pose model it is the tracker."""

    def __init__(self, tracker: ByteTrack, pose: PoseModel | None, settings: PoseSettings | None = None) -> None:
        self._tracker, self._pose = tracker, pose
        self._settings = settings or PoseSettings()
        self._looked_s: dict[int, float] = {}
        self._scouted_s = -np.inf

    def update(self, frame: Frame, found: Boxes, *, moving: bool = True) -> People:
        """The people of `frame`, whose detections are `found` (weak ones included)."""
        if self._pose is None:
            return People(tracks=self._tracker.update(found, frame.time_s), poses={})
        tracks = self._tracker.update(self._vouched(frame, found, moving), frame.time_s)
        poses = {int(track): pose for track, pose in self._posed(frame, tracks)}
        return People(tracks=self._tracker.current(), poses=poses)

    def _vouched(self, frame: Frame, found: Boxes, moving: bool) -> Boxes:
        """The detections, and where they show nobody, what the pose model sees in the best weak one or in the whole frame."""
        known, good = self._tracker.current(), self._tracker.settings.high_score
        due = frame.time_s - self._scouted_s >= self._settings.scout_s or frame.time_s < self._scouted_s
        if len(known) or (found.scores >= good).any() or not due or not moving:
            return found
        self._scouted_s = frame.time_s
        people = found.take((found.class_ids == PERSON) & (found.scores >= self._tracker.settings.low_score))
        regions = [people.boxes[int(people.scores.argmax())]] if len(people) else []
        for region in (*regions, np.array([0, 0, frame.width, frame.height], np.float64)):
            for pose in self._looked(frame, {0: region}, UPRIGHT).values():
                return _added(found, pose, good, self._settings.point_score)
        return found

    def _posed(self, frame: Frame, tracks: Tracks) -> list[tuple[int, Pose]]:
        """Poses of the people whose turn it is; a track that only its pose shows is continued by it."""
        rows, found = self._turns(tracks), []
        self._looked_s |= {int(tracks.ids[row]): frame.time_s for row in rows}
        fresh = {row: tracks.boxes[row] for row in rows if tracks.fresh[row]}
        lost = {row: widened(tracks.boxes[row]) for row in rows if not tracks.fresh[row]}
        seen = self._looked(frame, fresh | lost, UPRIGHT)
        seen |= self._looked(frame, {row: box for row, box in lost.items() if row not in seen}, ON_A_SIDE)
        for row, pose in seen.items():
            track = int(tracks.ids[row])
            if not tracks.fresh[row]:
                if _belongs_to_another(pose, tracks, row, self._settings.point_score):
                    continue
                self._tracker.support(track, _grown(pose, self._settings.point_score), confidence(pose))
            found.append((track, pose))
        return found

    def _turns(self, tracks: Tracks) -> list[int]:
        """Rows of the people to look at: those first whom the detector lost, then who waited longest."""
        self._looked_s = {track: self._looked_s.get(track, -np.inf) for track in map(int, tracks.ids)}
        rows = [row for row in range(len(tracks)) if tracks.class_ids[row] == PERSON]
        rows.sort(key=lambda row: (bool(tracks.fresh[row]), self._looked_s[int(tracks.ids[row])]))
        return rows[: self._settings.per_frame]

    def _looked(self, frame: Frame, boxes: Mapping[int, NDArray[np.floating[Any]]], turns: Sequence[int]) -> dict[int, Pose]:
        """The poses in the boxes that are a person's, by the boxes' keys; the first of the turns that shows one. Every turn is one
        question about all that are left."""
        assert self._pose is not None
        found: dict[int, Pose] = {}
        for turned in turns:
            left = [key for key in boxes if key not in found]
            if left:
                poses = self._pose(frame, [Region(box=boxes[key], turned=turned) for key in left])
                found |= {key: pose for key, pose in zip(left, poses, strict=True) if self._is_person(pose)}
        return found

    def _is_person(self, pose: Pose) -> bool:
        return confidence(pose) >= self._settings.person_score and pose.box(self._settings.point_score) is not None


def confidence(pose: Pose) -> float:
    """Mean score of shoulders and hips: what stands in for a detector's score."""
    return float(pose.scores[[*SHOULDERS, *HIPS]].mean())


def _grown(pose: Pose, least: float) -> NDArray[np.float64]:
    box = pose.box(least)
    assert box is not None
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * GROWN
    return np.concatenate([middle - half, middle + half])


def widened(box: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Where to look for somebody who may have moved or fallen since."""
    middle, half = (box[:2] + box[2:]) / 2, np.full(2, max(box[2] - box[0], box[3] - box[1])) * SEARCH / 2
    return np.concatenate([middle - half, middle + half]).astype(np.float64)


def _belongs_to_another(pose: Pose, tracks: Tracks, row: int, least: float) -> bool:
    """Whether the pose found for a lost track is that of somebody else, whom the detector shows."""
    others = tracks.take(tracks.fresh & (np.arange(len(tracks)) != row))
    box, ids = _grown(pose, least)[None], np.zeros(1, np.int64)
    return bool((overlaps(box, others.boxes, ids, np.zeros(len(others), np.int64)) > ANOTHER).any())


def _added(found: Boxes, pose: Pose, score: float, least: float) -> Boxes:
    """`found` with a person around the pose, instead of the weak detections it explains."""
    rest = found.take(np.flatnonzero(found.class_ids != PERSON)) if len(found) else no_boxes()
    return replace(
        rest,
        boxes=np.concatenate([rest.boxes, _grown(pose, least)[None]]),
        scores=np.append(rest.scores, max(score, confidence(pose))),
        class_ids=np.append(rest.class_ids, np.int64(PERSON)),
    )
