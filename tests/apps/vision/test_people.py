"""People followed by their poses: asked for together, on a budget, and looked for where the detector lost them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cameras import FigureFinder, walk
from detectors import artifact_of
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from waiting import wait_until

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.poses.keypoints import Region, SinglePose
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.tracking.bytetrack import ByteTrack
from edgekit.apps.vision.tracking.people import PeopleTracker, confidence
from edgekit.apps.vision.tracking.tracks import Boxes, no_boxes
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.vision.watching.site_file import SiteFile
from edgekit.core.schema import TensorSpec
from edgekit.loading import load
from edgekit.runtimes.face import FaceSession

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
SIDE = 32


def network(batch: int) -> bytes:
    """Sees in every square a figure that stands the lower, the brighter the square, and is as sure as the square's top is bright."""
    figure = np.zeros((1, 1, 17, 3), np.float32)
    figure[0, 0, :, 0], figure[0, 0, :, 1] = np.linspace(0.125, 0.675, 17), np.linspace(0.4, 0.6, 17)
    lower, sure = np.zeros_like(figure), np.zeros_like(figure)
    lower[..., 0], sure[..., 2] = 0.1 / 255, 1 / 255
    nodes = [
        helper.make_node("Slice", ["squares", "begin", "end", "rows"], ["top"]),
        helper.make_node("ReduceMean", ["squares"], ["bright"], axes=[1, 2, 3]),
        helper.make_node("ReduceMean", ["top"], ["bright top"], axes=[1, 2, 3]),
        helper.make_node("Mul", ["bright", "lower"], ["down"]),
        helper.make_node("Mul", ["bright top", "sure"], ["scores"]),
        helper.make_node("Add", ["down", "scores"], ["both"]),
        helper.make_node("Add", ["both", "figure"], ["people"]),
    ]
    constants = {"figure": figure, "lower": lower, "sure": sure}
    constants |= {name: np.array([value]) for name, value in (("begin", 0), ("end", SIDE // 4), ("rows", 1))}
    ends = [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in specs(batch)]
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "pose", ends[:1], ends[1:], initial)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString())


def specs(batch: int) -> tuple[TensorSpec, TensorSpec]:
    return (
        TensorSpec(name="squares", shape=(batch, SIDE, SIDE, 3), dtype="float32"),
        TensorSpec(name="people", shape=(batch, 1, 17, 3), dtype="float32"),
    )


class Counting(FaceSession):
    """A session that knows how often it ran."""

    runs = 0

    def run(self, feed: Mapping[str, NDArray[Any]], *, raw: bool = False) -> Mapping[str, NDArray[Any]]:
        self.runs += 1
        return super().run(feed, raw=raw)


Opener = Callable[[int], Counting]


@pytest.fixture
def taking(tmp_path: Path) -> Iterator[Opener]:
    """Opens the network for so many squares at once."""
    sessions = []

    def opened(batch: int) -> Counting:
        session = load(
            artifact_of(tmp_path / f"pose{len(sessions)}", network(batch), *specs(batch), preprocess=None, postprocess=None)
        )
        session.__class__ = Counting
        assert isinstance(session, Counting)
        sessions.append(session)
        return session

    yield opened
    for session in sessions:
        session.close()


def picture(shades: NDArray[np.uint8], time_s: float = 0.0) -> Frame:
    """480 x 240, each row of pixels these shades from left to right."""
    rows = np.repeat(shades, 480 // len(shades))
    return from_rgb(np.broadcast_to(rows[None, :, None], (240, 480, 3)).copy(), number=0, time_s=time_s)


BRIGHT = np.full(1, 255, np.uint8)
ONE = Boxes(boxes=np.array([[230.0, 90.0, 250.0, 150.0]]), scores=np.array([0.9]), class_ids=np.zeros(1, np.int64))


def people(count: int) -> Boxes:
    """Side by side, 20 wide and 60 high."""
    left = 60.0 + 66 * np.arange(count)
    boxes = np.stack([left, np.full(count, 90.0), left + 20, np.full(count, 150.0)], axis=1)
    return Boxes(boxes=boxes, scores=np.full(count, 0.9), class_ids=np.zeros(count, np.int64))


@pytest.mark.parametrize(("batch", "runs"), [(1, 5), (4, 2), (8, 1)])
def test_as_many_squares_go_in_at_once_as_the_model_takes_and_each_gets_its_own_pose(
    taking: Opener, batch: int, runs: int
) -> None:
    frame = picture(np.linspace(100, 250, 6).astype(np.uint8))
    regions = [Region(box=box) for box in people(5).boxes]
    session, alone = taking(batch), SinglePose(taking(1))
    found = SinglePose(session).poses(frame, regions)
    assert session.runs == runs and len(found) == 5
    for pose, region in zip(found, regions, strict=True):
        expected = alone(frame, region.box)
        np.testing.assert_allclose(pose.points, expected.points, atol=1e-3)
        np.testing.assert_allclose(pose.scores, expected.scores, atol=1e-5)
    heights = [float(pose.points[:, 1].mean()) for pose in found]
    assert heights == sorted(heights) and heights[-1] - heights[0] > 2, "the poses are those of different squares"


def test_a_region_is_turned_on_its_own_whatever_else_is_asked(taking: Opener) -> None:
    frame = picture(np.array([0, 0, 255, 255], np.uint8))
    box = np.array([220.0, 100.0, 260.0, 140.0])
    upright, turned = SinglePose(taking(4)).poses(frame, [Region(box=box), Region(box=box, turned=1)])
    assert confidence(turned) > 0.9 > 0.6 > confidence(upright)
    lies = np.ptp(turned.points, axis=0)
    assert lies[0] > lies[1]


def test_poses_are_on_a_budget_and_people_take_turns(taking: Opener) -> None:
    session = taking(4)
    tracker = PeopleTracker(ByteTrack(), SinglePose(session).poses)
    tracker.update(picture(BRIGHT), people(6))
    looks = []
    for number in range(1, 4):
        before = session.runs
        looks.append(set(tracker.update(picture(BRIGHT, number / 10), people(6)).poses))
        assert session.runs == before + 1, "four of them are one question"
    assert [len(look) for look in looks] == [4, 4, 4]
    assert looks[0] | looks[1] == looks[1] | looks[2] == {1, 2, 3, 4, 5, 6}


def test_who_the_detector_loses_is_followed_by_the_pose(taking: Opener) -> None:
    settings = ByteTrack().settings
    tracker, seen = PeopleTracker(ByteTrack(), SinglePose(taking(1)).poses), []
    for number in range(30):
        found = ONE if number < 3 else no_boxes()
        seen.append(list(tracker.update(picture(BRIGHT, number / 10), found).tracks.ids))
    assert settings.lost_s < (30 - 3) / 10
    assert seen[2:] == [[1]] * 28
    alone = ByteTrack()
    for number in range(30):
        left = alone.update(ONE if number < 3 else no_boxes(), number / 10)
    assert len(left) == 0, "without a pose model the track is gone by then"


def test_who_was_lost_is_also_looked_for_lying_on_a_side(taking: Opener) -> None:
    """The square shows a figure only when it is turned: its top is dark but for a strip on the right."""
    session = taking(1)
    tracker = PeopleTracker(ByteTrack(), SinglePose(session).poses)
    for number in range(3):
        tracker.update(picture(BRIGHT, number / 10), ONE)
    before = session.runs
    found = tracker.update(picture(np.where(np.arange(48) >= 27, 255, 0).astype(np.uint8), 0.3), no_boxes())
    assert session.runs - before == 2, "upright, and turned once"
    assert set(found.poses) == {1} and bool(found.tracks.fresh[0])
    lies = np.ptp(found.poses[1].points, axis=0)
    assert lies[0] > lies[1]


def test_cameras_that_are_watched_share_the_pose_model(taking: Opener, tmp_path: Path) -> None:
    source = walk(tmp_path / "yard.mp4", 4.0, size=(320, 180))
    (tmp_path / "site.yaml").write_text(f"cameras: {{yard: {{source: {source}}}, gate: {{source: {source}}}}}\n")
    file = SiteFile(tmp_path / "site.yaml", tmp_path / "good.yaml")
    session, told = taking(2), list[Event]()
    with closing(EventStore(tmp_path / "events.db")) as store:
        watch = SiteWatch(
            file.read(),
            file,
            FigureFinder(),
            SinglePose(session),
            store,
            tmp_path,
            told=lambda event, media: told.append(event),
        )
        watch.start()
        wait_until(lambda: watch.done, "both recordings have ended")
        looks = {name: camera.look for name, camera in watch.cameras.items()}
        counts = [camera.stages.summary()["pose"]["count"] for camera in watch.cameras.values()]
        failed = [camera.status().failed for camera in watch.cameras.values()]
        watch.stop()
    assert not any(failed) and {event.camera for event in told} == {"yard", "gate"}
    assert min(counts) > 3 and sum(counts) == session.runs
    for look in looks.values():
        assert look is not None and len(look.people.poses) == 1
    assert watch.unused == {"presence", "encode clip"}
