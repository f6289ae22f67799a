"""BlazePose: the 33 points of MediaPipe's pose landmarker, told by their shapes, become COCO's 17."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.decoding.recognise import recognise
from edgekit.tasks.detection import detect
from edgekit.tasks.heads import blazepose
from edgekit.tasks.pictures.preprocess import Placement

SIDE, MOST = 64, 4
MEDIAPIPE = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear",
    "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""The order of the 33 points, as MediaPipe documents it."""
COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""The order of the 17, as COCO's keypoint task has it."""
PICTURE = (TensorSpec(name="image", shape=(1, SIDE, SIDE, 3), dtype="uint8"),)
Arrays = dict[str, NDArray[np.float32]]


def answer(*people: NDArray[np.float64]) -> Arrays:
    """What the landmarker gives when it finds these people, [33, 5] each."""
    landmarks = np.zeros((1, MOST, 33, 5), np.float32)
    landmarks[0, : len(people)] = np.array(people).reshape(-1, 33, 5)
    return {
        "landmarks": landmarks,
        "world_landmarks": np.zeros((1, MOST, 33, 3), np.float32),
        "count": np.array([len(people)], np.float32),
    }


def somebody(left: float = 0.25, sure: float = 0.9) -> NDArray[np.float64]:
    """A person whose point number n lies at (left + n / 100, n / 40)."""
    order = np.arange(33.0)
    return np.stack([left + order / 100, order / 40, order * 0, np.full(33, sure), np.ones(33)], axis=1)


def known(outputs: Arrays) -> tuple[Preprocess, Postprocess]:
    specs = [TensorSpec(name=name, shape=array.shape, dtype="float32") for name, array in outputs.items()]
    found = recognise(PICTURE, specs)
    assert found is not None
    return found


def test_the_seventeen_are_those_of_the_same_names_in_cocos_order() -> None:
    assert [MEDIAPIPE[index] for index in blazepose.COCO] == list(COCO)


def test_a_joint_is_as_sure_as_it_is_in_the_picture_and_not_hidden() -> None:
    one = somebody()
    one[11, 3], one[16, 4] = 0.3, 0.1
    (found,) = blazepose.people(answer(one))
    np.testing.assert_allclose(found[:, :2], one[list(blazepose.COCO), :2], atol=1e-6)
    assert found[5, 2] == pytest.approx(0.3), "the left shoulder is hidden"
    assert found[10, 2] == pytest.approx(0.1), "the right wrist lies outside"
    assert found[0, 2] == pytest.approx(0.9)


def test_people_are_boxed_by_the_points_that_are_seen_and_the_unsure_left_out() -> None:
    outputs = answer(somebody(0.25), somebody(0.6, sure=0.05))
    preprocess, postprocess = known(outputs)
    assert (postprocess.head, postprocess.labels) == ("blazepose", ("person",))
    same = Placement(image_width=SIDE, image_height=SIDE, scale_x=1.0, scale_y=1.0)
    found = detect(outputs, postprocess, preprocess, same)
    assert len(found) == 1 and found.keypoints is not None and found.keypoints.shape == (1, 17, 3)
    np.testing.assert_allclose(found.boxes[0], SIDE * np.array([0.25, 0.0, 0.25 + 0.28, 28 / 40]), rtol=1e-5)


def test_an_empty_picture_has_no_people() -> None:
    outputs = answer()
    preprocess, postprocess = known(outputs)
    assert len(blazepose.decode(outputs, preprocess, postprocess).boxes) == 0


def test_arrays_of_another_model_are_refused() -> None:
    with pytest.raises(InputError, match="the blazepose head needs an output of shape"):
        blazepose.people({"rows": np.zeros((1, 17, 3), np.float32)})
