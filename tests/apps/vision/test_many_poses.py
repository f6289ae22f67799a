"""Pose models that see everybody at once: asked once for a frame, and each person told apart by where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detectors import IMAGE_SPEC, artifact_of
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.poses.many_poses import ManyPoses, pose_model
from edgekit.apps.vision.tracking.people import confidence
from edgekit.core.errors import Unsupported
from edgekit.core.schema import TensorSpec
from edgekit.loading import load
from edgekit.runtimes.face import FaceSession

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
OUT = TensorSpec(name="rows", shape=(1, 56, 126), dtype="float32")
LEFT, RIGHT = (24.0, 32.0), (72.0, 30.0)
"""Middles of the two who stand in every picture (96 x 64) of the network below."""


def network() -> bytes:
    """A head as YOLOv8-pose has it, that always sees the same two people, each 16 wide and 40 high."""
    rows = np.zeros(OUT.shape, np.float32)
    for cell, (x, y) in enumerate((LEFT, RIGHT)):
        points = np.stack([x + np.linspace(-8, 8, 17), y + np.linspace(-20, 20, 17), np.full(17, 0.9)], axis=1)
        rows[0, :, 20 + 40 * cell] = [x, y, 16, 40, 0.9, *points.ravel()]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["rows"]),
    ]
    ends = [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in (IMAGE_SPEC, OUT)]
    constants = [numpy_helper.from_array(rows, "answer"), numpy_helper.from_array(np.zeros((1, 1, 1), np.float32), "zero")]
    graph = helper.make_graph(nodes, "poses", ends[:1], ends[1:], constants)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString())


class Counting(FaceSession):
    """A session that knows how often it ran."""

    runs = 0

    def run(self, feed: Mapping[str, NDArray[Any]], *, raw: bool = False) -> Mapping[str, NDArray[Any]]:
        self.runs += 1
        return super().run(feed, raw=raw)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Counting]:
    with load(artifact_of(tmp_path / "poses", network(), IMAGE_SPEC, OUT)) as plain:
        plain.__class__ = Counting
        assert isinstance(plain, Counting)
        yield plain


@pytest.fixture
def frame() -> Frame:
    pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
    return from_rgb(np.full((128, 192, 3), 90, np.uint8), number=0, time_s=0.0)


def around(middle: tuple[float, float], grown: float = 1.0) -> NDArray[np.float64]:
    """A box about a person, in pixels of a frame twice as large as the model's input."""
    half = np.array([8, 20]) * grown
    return 2 * np.concatenate([np.array(middle) - half, np.array(middle) + half])


def test_everybody_is_found_by_their_place_and_the_model_is_asked_once(session: Counting, frame: Frame) -> None:
    pose = pose_model(session)
    assert isinstance(pose, ManyPoses)
    for middle in (LEFT, RIGHT):
        found = pose(frame, around(middle, 1.3))
        np.testing.assert_allclose(found.points.mean(axis=0), 2 * np.array(middle), atol=1.0)
        assert confidence(found) > 0.8
    assert session.runs == 1


def test_the_whole_frame_shows_somebody(session: Counting, frame: Frame) -> None:
    assert confidence(pose_model(session)(frame, np.array([0.0, 0.0, 192.0, 128.0]))) > 0.8


def test_where_nobody_is_there_is_a_pose_without_any_certainty(session: Counting, frame: Frame) -> None:
    assert confidence(pose_model(session)(frame, np.array([88.0, 0.0, 104.0, 20.0]))) == 0


@pytest.mark.parametrize("turned", [1, 2, 3])
def test_what_a_turned_frame_shows_is_where_it_lies_in_the_frame(session: Counting, frame: Frame, turned: int) -> None:
    """The network sees the same in every picture: turned back, its people lie where the turn puts them."""
    pose, whole = pose_model(session), np.array([0.0, 0.0, 192.0, 128.0])
    found = pose(frame, whole, turned)
    assert confidence(found) > 0.8
    assert (found.points >= -1e-6).all() and (found.points <= [192, 128]).all()
    lies = np.ptp(found.points, axis=0)
    assert (lies[0] > lies[1]) == (turned % 2 == 1), "who stands in a picture turned by a quarter lies in the frame"


def test_another_frame_is_asked_about_anew(session: Counting, frame: Frame) -> None:
    pose = pose_model(session)
    pose(frame, around(LEFT))
    pose(from_rgb(np.full((128, 192, 3), 91, np.uint8), number=1, time_s=0.1), around(LEFT))
    assert session.runs == 2


def test_a_detector_without_poses_is_refused(tmp_path: Path) -> None:
    from cameras import standing_artifact

    with load(standing_artifact(tmp_path / "standing")) as session, pytest.raises(Unsupported, match="a pose model takes"):
        pose_model(session)
