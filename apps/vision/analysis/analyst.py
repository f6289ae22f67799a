"""One camera's frames, understood: gate, detector, tracker, poses, activities, rules, each timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from edgekit.apps.vision.activities.sign import Sign
from edgekit.apps.vision.activities.watch import ActivityWatch
from edgekit.apps.vision.analysis.motion import Motion, MotionGate
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.poses.keypoints import Pose, PoseNetwork, Region
from edgekit.apps.vision.rules.engine import RuleEngine, Scene
from edgekit.apps.vision.rules.settings import Camera, awake_rules
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.bytetrack import ByteTrack, TrackerSettings
from edgekit.apps.vision.tracking.people import People, PeopleTracker, PoseModel
from edgekit.apps.vision.tracking.tracks import Boxes, no_boxes


class Finds(Protocol):
    """A detector."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    def __call__(self, frame: Frame, stages: Stages | None = None, /) -> Boxes: ...


@runtime_checkable
class InSteps(Finds, Protocol):
    """A detector whose steps may be taken in different threads."""

    def ask(self, frame: Frame, stages: Stages, /) -> Any: ...
    def answer(self, question: Any, stages: Stages, /) -> Any: ...
    def boxes(self, question: Any, answer: Any, stages: Stages, /) -> Boxes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one frame showed. `skipped`: nothing moved, nothing was looked for. `signs` are there where a rule asks for activities;
    `found` is what the detector said."""

    frame: Frame
    motion: Motion
    people: People
    signs: tuple[tuple[int, Sign], ...]
    events: tuple[Event, ...]
    skipped: bool
    found: Boxes = field(default_factory=no_boxes)


class Analyst:
    """The state of one camera between its frames.

    `look` is `glance`, the `detector`, and `understand`. The first and the last take the frames in their order, each in one
    thread; what the detector finds depends on nothing but its frame, so that it may be asked ahead.
    """

    def __init__(
        self,
        camera: Camera,
        detector: Finds,
        pose: PoseNetwork | None = None,
        *,
        stages: Stages | None = None,
        starts: datetime | None = None,
    ) -> None:
        self.camera, self.stages = camera, stages or Stages()
        self.detector, self._gate = detector, MotionGate() if camera.detect.motion_gate else None
        self._tracker = ByteTrack(_followed_from(camera.detect.min_score))
        self._people = PeopleTracker(self._tracker, self._timed_pose(pose))
        self._activities = ActivityWatch()
        self._engine = RuleEngine(camera, awake_rules(camera), detector.labels)
        self.starts = starts or camera.starts or datetime.now()
        self._followed, self._last_s = False, 0.0
        self._presence: Callable[[Frame], bool] | None = getattr(detector, "presence", None)

    def change(self, camera: Camera) -> Sequence[Event]:
        """Go on by other settings; tracks are kept. The open events of rules, zones or lines that changed end: here they are."""
        before, self.camera = self.camera, camera
        if before.detect.motion_gate != camera.detect.motion_gate:
            self._gate = MotionGate() if camera.detect.motion_gate else None
        self._tracker.settings = _followed_from(camera.detect.min_score)
        if (before.zones, before.lines, before.rules) == (camera.zones, camera.lines, camera.rules):
            return ()
        ended = self.finish()
        self._engine = RuleEngine(camera, awake_rules(camera), self.detector.labels)
        return ended

    def look(self, frame: Frame) -> Look:
        """Understand the next frame."""
        return self.understand(frame, self.glance(frame), lambda: self.detector(frame, self.stages))

    def glance(self, frame: Frame) -> Motion:
        """Whether anything moves that may be somebody."""
        with self.stages.timed("motion"):
            motion = self._gate.look(frame.luma(), frame.time_s) if self._gate else Motion(moving=True, share=1.0)
        if not motion.moving or self._presence is None:
            return motion
        with self.stages.timed("presence"):
            return replace(motion, moving=self._presence(frame))

    @property
    def lanes(self) -> int:
        """How many frames the detector looks at side by side; 0 of one that takes them in their order, one by one."""
        return int(getattr(self.detector, "lanes", 0))

    def understand(self, frame: Frame, motion: Motion, found: Callable[[], Boxes]) -> Look:
        """What becomes of it; `found` is asked unless nothing moves and nobody is followed."""
        self._last_s = frame.time_s
        skipped = not motion.moving and not self._followed
        boxes = no_boxes() if skipped else found()
        with self.stages.timed("track"):
            people = self._people.update(frame, replace(boxes, segments=None), moving=motion.moving)
        self._followed = len(people.tracks) > 0
        with self.stages.timed("rules"):
            signs = tuple(self._activities.look(people, frame.time_s)) if self._engine.asks_for_activities else ()
            events = self._engine.look(self._scene(frame, people, signs))
        return Look(frame=frame, motion=motion, people=people, signs=signs, events=tuple(events), skipped=skipped, found=boxes)

    def finish(self) -> Sequence[Event]:
        """The events that were open when the source ended."""
        return self._engine.finish(self._last_s)

    def _scene(self, frame: Frame, people: People, signs: tuple[tuple[int, Sign], ...]) -> Scene:
        return Scene(
            tracks=people.tracks,
            signs=signs,
            width=frame.width,
            height=frame.height,
            time_s=frame.time_s,
            now=self.starts + timedelta(seconds=frame.time_s),
        )

    def _timed_pose(self, pose: PoseNetwork | None) -> PoseModel | None:
        if pose is None:
            return None

        def timed(frame: Frame, regions: Sequence[Region]) -> Sequence[Pose]:
            with self.stages.timed("pose"):
                return pose.poses(frame, regions)

        return timed


def _followed_from(min_score: float) -> TrackerSettings:
    """A track begins with a detection of this score; weaker ones keep it alive."""
    return TrackerSettings(high_score=min_score, low_score=min(0.1, min_score))
