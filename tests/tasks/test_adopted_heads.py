"""Real TFLite models of others, taken as they are: their heads are known, and find what is in a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.adoption import adopt
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.pictures.images import read_image
from edgekit.tasks.pictures.preprocess import prepare

pytest.importorskip("ai_edge_litert", reason="TFLite models need LiteRT")


def found_in(model: Path, picture: Path, scratch: Path) -> tuple[str, Detections]:
    made = adopt(model, scratch / "adopted")
    preprocess, postprocess = made.manifest.preprocess, made.manifest.postprocess
    assert preprocess is not None and postprocess is not None
    prepared = prepare(read_image(picture), preprocess)
    with edgekit.load(made.path) as session:
        outputs = session.run({preprocess.input: prepared.array})
    return postprocess.head, detect(outputs, postprocess, preprocess, prepared.placement)


def test_a_detector_of_tensorflow_finds_the_cat(shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "models_detection" / "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite"
    head, found = found_in(model, shared_data / "images_coral" / "cat.bmp", tmp_path)
    assert (head, found.labels[0]) == ("ssd", "cat")
    assert found.scores[0] > 0.6


def test_movenet_finds_a_face_above_shoulders(shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "models_coral" / "movenet_single_pose_lightning_ptq.tflite"
    head, found = found_in(model, shared_data / "images_coral" / "grace_hopper.bmp", tmp_path)
    assert (head, found.labels) == ("movenet", ("person",))
    assert found.keypoints is not None
    nose, left, right = (found.keypoints[0, index] for index in (0, 5, 6))
    assert nose[1] < min(left[1], right[1])
    assert right[0] < nose[0] < left[0]
    assert np.all([point[2] > 0.3 for point in (nose, left, right)])
