"""MediaPipe's pose landmarker as `--pose`: shown one person after the other, its 33 points become COCO's 17 in the frame."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from detectors import artifact_of
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.apps import detect
from edgekit.apps.base import RunOptions
from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.poses.keypoints import SinglePose, square_around
from edgekit.apps.vision.poses.many_poses import pose_model
from edgekit.apps.vision.tracking.people import confidence
from edgekit.core.errors import InputError, MissingDependency, Unsupported
from edgekit.core.profiles import find
from edgekit.core.schema import TensorSpec
from edgekit.loading import load
from edgekit.mediapipe_task import package
from edgekit.runtimes import registry
from edgekit.tasks.heads.blazepose import COCO
from edgekit.tasks.pictures.images import read_image

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
IMAGE = TensorSpec(name="image", shape=(1, 64, 64, 3), dtype="uint8")
LANDMARKS = TensorSpec(name="landmarks", shape=(1, 4, 33, 5), dtype="float32")
WORLD = TensorSpec(name="world_landmarks", shape=(1, 4, 33, 3), dtype="float32")
COUNT = TensorSpec(name="count", shape=(1,), dtype="float32")


def network(*middles: float) -> bytes:
    """A landmarker that sees people a quarter of the picture wide at these middles, whatever it is shown."""
    landmarks = np.zeros(LANDMARKS.shape, np.float32)
    for row, middle in enumerate(middles):
        steps = np.linspace(-1, 1, 33)
        points = np.stack([middle + steps / 8, 0.5 + steps / 3, steps * 0, steps * 0 + 0.9, steps * 0 + 1], axis=1)
        landmarks[0, row] = points
    answers = {
        "landmarks": landmarks,
        "world_landmarks": np.zeros(WORLD.shape, np.float32),
        "count": np.array([len(middles)], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["mean"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        *(helper.make_node("Add", [f"{name} as it is", "nothing"], [name]) for name in answers),
    ]
    constants = [numpy_helper.from_array(value, f"{name} as it is") for name, value in answers.items()]
    ends = [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in (LANDMARKS, WORLD, COUNT)]
    begin = helper.make_tensor_value_info(IMAGE.name, TensorProto.UINT8, IMAGE.shape)
    zero = numpy_helper.from_array(np.zeros((), np.float32), "zero")
    graph = helper.make_graph(nodes, "landmarks", [begin], ends, [*constants, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def frame() -> Frame:
    return from_rgb(np.full((128, 192, 3), 90, np.uint8), number=0, time_s=0.0)


def shown(folder: Path, frame: Frame, box: NDArray[np.float64], *middles: float, turned: int = 0):  # type: ignore[no-untyped-def]
    """The pose in the box of a landmarker that sees people at these middles."""
    with load(artifact_of(folder / "landmarks", network(*middles), IMAGE, LANDMARKS, WORLD, COUNT)) as session:
        model = pose_model(session)
        assert isinstance(model, SinglePose)
        return model(frame, box, turned)


BOX = np.array([60.0, 20.0, 100.0, 100.0])
"""In pixels of the frame: the square that the model sees has its middle at (80, 60)."""


def test_the_points_lie_in_the_frame_where_the_square_was_cut_out(tmp_path: Path, frame: Frame) -> None:
    found = shown(tmp_path, frame, BOX, 0.5)
    assert found.points.shape == (17, 2) and confidence(found) > 0.85
    steps = np.linspace(-1, 1, 33)[list(COCO)]
    side = square_around(BOX)[2] - square_around(BOX)[0]
    wanted = np.stack([80 + steps / 8 * side, 60 + steps / 3 * side], axis=1)
    np.testing.assert_allclose(found.points, wanted, atol=2.0)


def test_of_several_people_in_the_square_the_one_that_fits_the_box_is_meant(tmp_path: Path, frame: Frame) -> None:
    found = shown(tmp_path, frame, BOX, 0.05, 0.5, 0.9)
    assert abs(found.points[:, 0].mean() - 80) < 12


def test_where_nobody_is_seen_there_is_a_pose_without_any_certainty(tmp_path: Path, frame: Frame) -> None:
    assert confidence(shown(tmp_path, frame, BOX)) == 0


def test_who_is_shown_turned_lies_in_the_frame(tmp_path: Path, frame: Frame) -> None:
    lies = np.ptp(shown(tmp_path, frame, BOX, 0.5, turned=1).points, axis=0)
    assert lies[0] > lies[1]


def bundle(path: Path, networks: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name, data in networks.items():
            made.writestr(name, data)
    return path


def test_what_is_no_landmarker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.task").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="neither a TFLite file nor a bundle"), opened(tmp_path / "x.task"):
        pass
    with pytest.raises(Unsupported, match="no adapter"), opened(bundle(tmp_path / "hand.task", {"hand_detector.tflite": b"?"})):
        pass


def test_without_the_package_a_landmarkers_file_says_what_to_install(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers", reason="flatbuffers (extra convert) is not installed")
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    if registry.get("mediapipe").probe().ok:
        pytest.skip("mediapipe is installed here")
    from mediapipe_files import POSE_NETWORKS, pictures_to_scores

    task = bundle(tmp_path / "pose.task", dict.fromkeys(POSE_NETWORKS, pictures_to_scores(softmax=True)))
    with pytest.raises(MissingDependency, match="mediapipe is not installed") as caught, opened(task):
        pass
    assert "edgekit[mediapipe]" in caught.value.hint


@pytest.fixture
def published(shared_data: Path, tmp_path: Path) -> Path:
    """MediaPipe's own networks in a bundle as it publishes them; skipped where its package does not work."""
    probe = registry.get("mediapipe").probe()
    if not probe.ok:
        pytest.skip(probe.reason)
    from mediapipe_files import POSE_NETWORKS, with_metadata

    folder = shared_data / "models_mediapipe"
    networks = {
        name: with_metadata((folder / file).read_bytes(), outputs, normal)
        for name, (file, outputs, normal) in POSE_NETWORKS.items()
    }
    return bundle(tmp_path / "pose.task", networks)


def test_the_real_landmarker_agrees_with_what_people_marked(shared_data: Path, published: Path) -> None:
    """On a photograph of COCO with one person of whom 16 points were marked by hand: most lie within a tenth of the person's height."""
    name, box, marked = somebody_marked(shared_data / "coco_eval" / "person_keypoints.json")
    picture = from_rgb(read_image(shared_data / "coco_eval" / "images" / name), number=0, time_s=0.0)
    with opened(published) as session:
        found = pose_model(session)(picture, box)
    off = np.hypot(*(found.points - marked[:, :2])[marked[:, 2] > 0].T) / (box[3] - box[1])
    assert confidence(found) > 0.5
    assert (off < 0.1).mean() > 0.6


def test_run_detect_draws_the_points_of_the_real_landmarker(shared_data: Path, published: Path, tmp_path: Path) -> None:
    name, _, _ = somebody_marked(shared_data / "coco_eval" / "person_keypoints.json")
    artifact = package(published, find("host"), tmp_path / "artifacts")
    (person,) = detect.run(
        RunOptions(artifact=artifact.path, image=shared_data / "coco_eval" / "images" / name, runtime="mediapipe")
    ).result["detections"]
    assert person["label"] == "person" and len(person["keypoints"]) == 17


def somebody_marked(path: Path) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """The photograph, the box and the points [17, 3] (x, y, seen) of whom most was marked among those alone in their picture."""
    known = json.loads(path.read_text())
    together = Counter(one["image_id"] for one in known["annotations"])
    alone = (one for one in known["annotations"] if together[one["image_id"]] == 1)
    most = max(alone, key=lambda one: one["num_keypoints"])
    name = next(image["file_name"] for image in known["images"] if image["id"] == most["image_id"])
    left, top, width, height = most["bbox"]
    return name, np.array([left, top, left + width, top + height]), np.array(most["keypoints"], np.float64).reshape(17, 3)
