"""MediaPipe's tasks: their files become artifacts that are compared, opened in a process apart, and answer in arrays."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from mediapipe_files import POSE_NETWORKS, classifier, pictures_to_scores, with_metadata
from numpy.typing import NDArray

from edgekit import artifact as artifacts
from edgekit.conversion import convert
from edgekit.core.errors import ArtifactError, DeviceError, InputError, Unsupported, UsageError
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact
from edgekit.loading import load
from edgekit.mediapipe_task import package, recognise
from edgekit.runtimes import registry
from edgekit.runtimes.base import first_line
from edgekit.runtimes.litert import execute
from edgekit.verify import verify

PICTURE = np.random.default_rng(3).integers(0, 256, (1, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _here() -> None:
    probe = registry.get("mediapipe").probe()
    if not probe.ok:
        pytest.skip(probe.reason)


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    """A network of bytes: a picture of 8 by 8 to ten scores."""
    path = tmp_path / "scorer.tflite"
    path.write_bytes(pictures_to_scores(softmax=True))
    return path


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An artifact around it that nothing was proven of: MediaPipe takes seconds to open."""
    return classifier(tmp_path_factory.mktemp("wrapped"))


def answers_of(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What LiteRT computes of a file made by `pictures_to_scores`."""
    (found,) = execute(path)([pixels])
    return found.astype(np.float32) / 256


def test_a_classifier_answers_as_litert_does_class_by_class_and_can_be_verified(scorer: Path, tmp_path: Path) -> None:
    made = convert(scorer, target="rpi5", format="mediapipe", output=tmp_path)
    assert (made.manifest.target.dialect, made.manifest.runtimes) == ("image-classifier", ("mediapipe",))
    assert made.manifest.parity is not None and made.manifest.parity.value == 200.0
    assert verify(made.path).ok


def test_a_network_whose_numbers_are_no_scores_is_an_embedder(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(pictures_to_scores(softmax=False))
    made = package(path, find("rpi5"), tmp_path)
    assert (made.manifest.target.dialect, made.manifest.outputs[0].source.name) == ("image-embedder", "embedding")
    assert made.manifest.parity is not None and made.manifest.parity.value > 100, "LiteRT's answers, as floats"


def test_a_picture_of_another_size_or_type_is_refused_and_the_session_lives(wrapped: Artifact) -> None:
    session = registry.get("mediapipe").load(wrapped)
    for wrong in (PICTURE[:, :4], PICTURE.astype(np.float32)):
        with pytest.raises(DeviceError, match=r"must be uint8 \[1, 8, 8, 3\]"):
            session.run({"image": wrong})
    scores = session.run({"image": PICTURE})["scores"]
    np.testing.assert_array_equal(scores, answers_of(wrapped.file("model"), PICTURE))
    assert scores.max() > 2 * scores.min()
    session.close()
    with pytest.raises(DeviceError, match="closed"):
        session.run({"image": PICTURE})


def damaged(made: Artifact, folder: Path, data: bytes) -> Artifact:
    """The same artifact around other bytes, with the hash of those."""
    files = {"model.task": data}
    manifest = msgspec.structs.replace(made.manifest, files=artifacts.described(files, {"model.task": "model"}))
    return artifacts.write(folder, manifest, files)


@pytest.mark.parametrize("cut", [0, 100, 600])
def test_a_damaged_file_is_an_error_here_and_not_the_end_of_this_process(wrapped: Artifact, tmp_path: Path, cut: int) -> None:
    with pytest.raises((ArtifactError, DeviceError), match="mediapipe") as caught:
        load(damaged(wrapped, tmp_path / "damaged", wrapped.file("model").read_bytes()[:cut]).path)
    assert "Traceback" not in first_line(caught.value)


def test_more_classes_than_the_manifest_says_are_an_error(wrapped: Artifact) -> None:
    (port,) = wrapped.manifest.outputs
    spec = msgspec.structs.replace(port.engine, shape=(1, 4))
    smaller = msgspec.structs.replace(wrapped.manifest, outputs=(msgspec.structs.replace(port, engine=spec, source=spec),))
    session = registry.get("mediapipe").load(msgspec.structs.replace(wrapped, manifest=smaller))
    with pytest.raises(DeviceError, match=r"classes, and the manifest says \[1, 4\]"):
        session.run({"image": PICTURE})
    session.close()


def test_what_edgekit_has_no_adapter_for_is_said(tmp_path: Path) -> None:
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as inside:
        inside.writestr("hand_detector.tflite", b"?")
    with pytest.raises(Unsupported, match=r"holds hand_detector.tflite: edgekit has no adapter"):
        recognise(bundle.getvalue(), "hand.task")
    with pytest.raises(InputError, match="neither a TFLite file nor a bundle"):
        recognise(b"nothing of the kind", "x.task")
    (tmp_path / "x.task").write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match="packaged for MediaPipe as it is"):
        convert(tmp_path / "x.task", target="rpi5", precision="int8", output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.task"]


def test_a_detector_answers_as_the_ssd_head_reads_it(shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "models_detection" / "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite"
    path = tmp_path / "ssd.tflite"
    path.write_bytes(with_metadata(model.read_bytes(), ("location", "category", "score", "number of detections")))
    made = package(path, find("rpi5"), tmp_path)
    assert made.manifest.postprocess is not None and made.manifest.postprocess.head == "ssd"
    noise = np.random.default_rng(0).integers(0, 256, (1, 300, 300, 3), np.uint8)
    with load(made.path) as session:
        found = session.run({"image": noise})
    boxes, _, scores, _ = execute(model)([noise])
    count = int(found["count"][0])
    assert count >= 2
    np.testing.assert_allclose(found["scores"][0, 0], scores[0, 0], atol=1e-6)
    # MediaPipe gives boxes in whole pixels, and shifts those that leave the picture.
    inside = [box for box in boxes[0][:count] if box.min() >= 0 and box.max() <= 1]
    assert inside
    for box in inside:
        assert (
            np.abs(found["boxes"][0, :count] - box).max(axis=1).min() < 2.01 / 300
        )  # its corner and its size are each cut to whole pixels


@pytest.mark.slow
def test_faces_and_poses_are_arrays_of_points(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "models_mediapipe"
    face, pose = tmp_path / "face.tflite", tmp_path / "pose.task"
    face.write_bytes(
        with_metadata((folder / "face_detection_short_range.tflite").read_bytes(), ("boxes", "scores"), (127.5, 127.5))
    )
    with zipfile.ZipFile(pose, "w") as bundle:
        for name, (source, outputs, normal) in POSE_NETWORKS.items():
            bundle.writestr(name, with_metadata((folder / source).read_bytes(), outputs, normal))
    for path, task, names in (
        (face, "face-detector", {"boxes", "classes", "scores", "count", "keypoints"}),
        (pose, "pose-landmarker", {"landmarks", "world_landmarks", "count"}),
    ):
        made = convert(path, target="rpi5", format="mediapipe", output=tmp_path)
        assert made.manifest.target.dialect == task and "own answers" in made.manifest.notes[0]
        with load(made.path) as session:
            found = session.run({"image": np.zeros(session.inputs[0].shape, np.uint8)})
        assert found.keys() == names
        assert found["count"][0] == 0, "there is nobody in a black picture"
