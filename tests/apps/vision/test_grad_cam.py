"""Grad-CAM: the gradients of the model that an artifact was made from, held to what is known of them and to the artifact that runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.apps.vision.explain import explain
from edgekit.apps.vision.explain.faithfulness import areas, faithfulness
from edgekit.apps.vision.explain.grad_cam import SCORES, GradCam, class_logits
from edgekit.apps.vision.explain.original import original_of
from edgekit.apps.vision.frames import from_rgb
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.artifact import read
from edgekit.core.errors import InputError, NotFound, Unsupported, UsageError
from edgekit.core.schema import TensorSpec
from edgekit.models import digits, persons
from edgekit.models.digits import draw
from edgekit.tasks.decoding.dense import class_cells
from edgekit.tasks.decoding.recognise import recognise
from edgekit.tasks.heads.classification import decode
from edgekit.tasks.pictures.images import read_image
from edgekit.tasks.pictures.preprocess import prepare


def boxed(precision: str) -> Path:
    return next(path for path in digits.artifacts() if precision in path.name)


def test_the_model_beside_an_artifact_is_found_by_name_and_hash_and_another_is_refused(tmp_path: Path) -> None:
    artifact = read(boxed("int8"))
    assert original_of(artifact) == digits.model_path().resolve()
    assert original_of(artifact, digits.model_path()) == digits.model_path()
    (tmp_path / "digits.onnx").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"'digits.onnx' is not what 'digits.rpi5.int8' was made from"):
        original_of(artifact, tmp_path / "digits.onnx")
    with pytest.raises(NotFound, match="no model at"):
        original_of(artifact, tmp_path / "nothing.onnx")


def test_without_the_model_gradients_are_asked_for_in_vain() -> None:
    frame = from_rgb(np.zeros((64, 96, 3), np.uint8), number=0, time_s=0.0)
    with opened(persons.artifacts()[0], threads=1) as session:
        detector = Detector(session, least=0.0)
        with pytest.raises(UsageError, match="gradients are those of the model"):
            explain(detector, frame, detector(frame).take(np.array([0])), method="grad-cam")


HEADS = {"yolox": (1, 126, 7), "yolov8": (1, 6, 126), "fastestdet": (1, 7, 4, 6)}
"""What a model of two classes gives for a picture of 64 x 96."""


@pytest.mark.parametrize("name", SCORES)
def test_every_cells_logit_stands_where_the_decoder_has_the_cell(name: str) -> None:
    torch = pytest.importorskip("torch", reason="gradients need PyTorch")
    shape = HEADS[name]
    spec_in = TensorSpec(name="images", shape=(1, 3, 64, 96), dtype="float32")
    known = recognise((spec_in,), (TensorSpec(name="out", shape=shape, dtype="float32"),))
    assert known is not None and known[1].head == name
    outputs = {"out": np.random.default_rng(0).uniform(0.05, 0.95, shape).astype(np.float32)}
    grid = class_cells(outputs, known[1], known[0], 1)
    assert grid is not None
    logits = class_logits({"out": torch.from_numpy(outputs["out"])}, name, 2, 1).numpy()
    assert logits.shape == grid.scores.shape
    told = grid.scores > 0  # a head that gives only a cell's best class has 0 where that is the other
    assert np.corrcoef(logits[told], np.log(grid.scores[told]))[0, 1] > 0.8
    assert np.argmax(np.where(told, logits, -np.inf)) in np.argsort(grid.scores)[-3:]


def test_of_a_network_that_ends_in_a_mean_it_is_the_class_activation_map(tmp_path: Path) -> None:
    """As Selvaraju et al. show in section 3.1: the gradients are then the dense layer's weights."""
    pytest.importorskip("torch", reason="gradients need PyTorch")
    from edgekit.apps.vision.explain.class_activation import ClassActivation

    path = next(path for path in digits.artifacts() if "int8" in path.name)
    digit = np.zeros((28, 28, 3), np.uint8)
    digit[4:24, 13:16] = 255
    found = GradCam(read(path), digits.model_path()).of_class(digit, 1)
    assert (found.method, found.calls, found.heat.shape) == ("grad-cam", 1, (28, 28))
    with ClassActivation(path) as maps:
        np.testing.assert_allclose(found.heat, maps(digit, 1).heat, atol=0.1)
    with pytest.raises(InputError, match="there is no class 10"):
        GradCam(read(path), digits.model_path()).of_class(digit, 10)


def test_the_map_of_a_class_is_more_faithful_to_the_artifact_than_chance() -> None:
    """The network in the box, in int8: taking the hottest ink away first hurts soonest, showing it first helps soonest."""
    pytest.importorskip("torch", reason="gradients need PyTorch")
    path, chance = boxed("int8"), np.random.default_rng(0)
    gradients, better = GradCam(read(path), digits.model_path()), []
    with edgekit.load(path, threads=1) as session:
        manifest = session.artifact.manifest
        assert manifest.preprocess is not None and manifest.postprocess is not None

        def certainty(picture: np.ndarray, class_id: int) -> float:
            prepared = prepare(picture, manifest.preprocess)
            outputs = session.run({manifest.preprocess.input: prepared.array})
            return float(decode(outputs, manifest.preprocess, manifest.postprocess)[class_id])

        images, labels = draw.small_digits(10, seed=4)
        for image, label in zip(images, labels, strict=True):
            picture = np.repeat(image[:, :, None], 3, axis=2).astype(np.uint8)
            ask = lambda shown, label=int(label): certainty(shown, label)  # noqa: E731
            made = areas(ask, picture, gradients.of_class(picture, int(label)).heat)
            drawn = areas(ask, picture, chance.random(picture.shape[:2]).astype(np.float32))
            better.append([made.insertion - drawn.insertion, drawn.deletion - made.deletion])
    assert (np.mean(better, axis=0) > 0.05).all()


@pytest.mark.parametrize("boxed", [True, False], ids=["the persons in the box, int8", "FastestDet, fp32"])
def test_the_map_of_a_detection_is_more_faithful_to_the_artifact_than_chance_and_points_at_it(
    shared_data: Path, tmp_path: Path, boxed: bool
) -> None:
    pytest.importorskip("torch", reason="gradients need PyTorch")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    if boxed:
        path, original, picture = persons.artifacts()[0], persons.model_path(), "coco_eval/images/000000234748.jpg"
    else:
        original, picture = shared_data / "models_onnx" / "fastestdet.onnx", "images_coral/cat.bmp"
        path = edgekit.convert(original, target="cpu", precision="fp32", output=tmp_path).path
    frame = from_rgb(read_image(shared_data / picture), number=0, time_s=0.0)
    with opened(path, threads=1) as session:
        detector = Detector(session, least=0.3)
        found = detector(frame)
        best = found.take(np.array([int(found.scores.argmax())]))
        why = explain(detector, frame, best, method="grad-cam", gradients=GradCam(session.artifact, original))
        made = faithfulness(detector, frame, best, why.heat)
        drawn = faithfulness(detector, frame, best, np.random.default_rng(1).random(why.heat.shape).astype(np.float32))
    assert (why.method, why.calls) == ("grad-cam", 1)
    assert made.insertion > drawn.insertion + 0.1
    assert made.deletion < drawn.deletion
    row, column = np.unravel_index(why.heat.argmax(), why.heat.shape)
    x1, y1, x2, y2 = best.boxes[0]
    assert x1 <= column <= x2 and y1 <= row <= y2


def test_a_head_whose_cells_are_unknown_says_what_helps(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="gradients need PyTorch")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    original = shared_data / "models_onnx" / "yunet_n_640_640.onnx"
    path = edgekit.convert(original, target="cpu", precision="fp32", output=tmp_path).path
    frame = from_rgb(read_image(shared_data / "images_coral" / "grace_hopper.bmp"), number=0, time_s=0.0)
    with opened(path, threads=1) as session:
        found = Detector(session, least=0.3)(frame).take(np.array([0]))
        with pytest.raises(Unsupported, match="which cells of a yunet head") as caught:
            GradCam(session.artifact, original).of_detection(frame, found)
    assert "occlusion" in caught.value.hint
