"""Explanations: maps that point at what the detector looked at, made within their time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.apps.vision.explain import explain
from edgekit.apps.vision.explain.faithfulness import faithfulness
from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.tracks import Boxes, no_boxes
from edgekit.core.errors import Unsupported, UsageError

FIGURE = np.array([220, 40, 40])
METHODS = ("occlusion", "d-rise")


class RedFinder:
    """Finds the red figure; the more of its height is red, the surer it is."""

    labels = ("person",)

    def __call__(self, frame: Frame, stages: Stages | None = None) -> Boxes:
        image = frame.rgb().astype(int)
        red = np.abs(image - FIGURE).sum(axis=2) < 120
        rows, columns = np.nonzero(red)
        if len(rows) < 12:
            return no_boxes()
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
        share = red.sum() / (0.2 * red.size)
        return Boxes(boxes=box, scores=np.array([min(share, 1.0)]), class_ids=np.zeros(1, np.int64))


@pytest.fixture
def frame() -> Frame:
    image = np.random.default_rng(0).integers(90, 160, (120, 160, 3)).astype(np.uint8)
    image[30:100, 100:130] = FIGURE
    return from_rgb(image, number=0, time_s=0.0)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_hot_where_the_figure_is(frame: Frame, method: str) -> None:
    finder = RedFinder()
    found = explain(finder, frame, finder(frame), budget_s=60, method=method)
    assert found.method == method
    assert found.heat.shape == (120, 160) and found.heat.dtype == np.float32
    assert (float(found.heat.min()), float(found.heat.max())) == (0.0, 1.0)
    row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
    assert 28 <= row < 102 and 98 <= column < 132


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_more_faithful_than_chance_by_deletion_and_insertion(frame: Frame, method: str) -> None:
    finder = RedFinder()
    detection = finder(frame)
    made = faithfulness(finder, frame, detection, explain(finder, frame, detection, budget_s=60, method=method).heat)
    random = np.random.default_rng(1).random((120, 160)).astype(np.float32)
    drawn = faithfulness(finder, frame, detection, random)
    assert made.deletion < drawn.deletion
    assert made.insertion > drawn.insertion + 0.05


def test_without_a_dense_head_auto_covers_places(frame: Frame) -> None:
    finder = RedFinder()
    assert explain(finder, frame, finder(frame)).method == "occlusion"
    with pytest.raises(Unsupported, match="does not say what each of its cells thinks"):
        explain(finder, frame, finder(frame), method="cells")


@pytest.mark.parametrize("method", METHODS)
def test_when_the_time_is_over_what_there_is_is_given_and_said_to_be_unfinished(frame: Frame, method: str) -> None:
    finder = RedFinder()
    found = explain(finder, frame, finder(frame), budget_s=0, method=method)
    assert (found.timed_out, found.calls) == (True, 2)
    assert found.heat.shape == (120, 160)


def test_one_detection_is_explained_at_a_time(frame: Frame) -> None:
    with pytest.raises(UsageError, match="0 detections"):
        explain(RedFinder(), frame, no_boxes())
    with pytest.raises(UsageError, match="no method named 'grad'"):
        explain(RedFinder(), frame, RedFinder()(frame), method="grad")


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("fastestdet", "cells"),
        ("yolox_nano", "cells"),
        *(pytest.param("fastestdet", method, marks=pytest.mark.slow) for method in METHODS),
    ],
)
def test_a_real_detectors_maps_are_more_faithful_than_chance(shared_data: Path, tmp_path: Path, name: str, method: str) -> None:
    """Heads of one resolution and of three, converted here, on a photograph: whatever found the cat is explained by the same session."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    import edgekit
    from edgekit.tasks.pictures.images import read_image

    model = shared_data / "models_onnx" / f"{name}.onnx"
    artifact = edgekit.convert(model, target="cpu", precision="fp32", output=tmp_path / "artifacts")
    with opened(artifact.path, threads=1) as session:
        detector = Detector(session, least=0.3)
        frame = from_rgb(read_image(shared_data / "images_coral" / "cat.bmp"), number=0, time_s=0.0)
        found = detector(frame)
        best = found.take(np.array([int(found.scores.argmax())]))
        heat = explain(detector, frame, best, budget_s=8, method=method).heat
        made = faithfulness(detector, frame, best, heat)
        random = np.random.default_rng(1).random(heat.shape).astype(np.float32)
        drawn = faithfulness(detector, frame, best, random)
    assert made.insertion > drawn.insertion
    assert made.deletion - drawn.deletion < made.insertion - drawn.insertion


@pytest.mark.parametrize("method", ["cells", pytest.param("occlusion", marks=pytest.mark.slow)])
def test_a_map_points_at_the_object_and_is_of_the_weights_that_ran(shared_data: Path, tmp_path: Path, method: str) -> None:
    """The two checks that many explanations fail: the hottest place lies on the cat, and a network whose weights were shuffled, asked
    about the very same box, does not give the same map (Adebayo et al., "Sanity Checks for Saliency Maps", arXiv:1810.03292)."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    import edgekit
    from edgekit.tasks.pictures.images import read_image

    model = shared_data / "models_onnx" / "fastestdet.onnx"
    frame = from_rgb(read_image(shared_data / "images_coral" / "cat.bmp"), number=0, time_s=0.0)
    first = edgekit.convert(model, target="cpu", precision="fp32", output=tmp_path / "first")
    other = edgekit.convert(shuffled(model, tmp_path), target="cpu", precision="fp32", output=tmp_path / "other")
    with opened(first.path, threads=1) as session:
        detector = Detector(session, least=0.3)
        found = detector(frame)
        best = found.take(np.array([int(found.scores.argmax())]))
        heat = explain(detector, frame, best, budget_s=8, method=method).heat
    with opened(other.path, threads=1) as session:
        random = explain(Detector(session, least=0.001), frame, best, budget_s=8, method=method).heat
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    x1, y1, x2, y2 = best.boxes[0]
    assert x1 <= column <= x2 and y1 <= row <= y2
    assert float(random.std()) == 0 or np.corrcoef(heat.ravel(), random.ravel())[0, 1] < 0.5


def shuffled(model: Path, folder: Path) -> Path:
    """The network with the values of each of its weights in another order."""
    onnx = pytest.importorskip("onnx")
    graph, chance = onnx.load(model), np.random.default_rng(0)
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1:
            mixed = chance.permutation(values.ravel()).reshape(values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(mixed, tensor.name))
    onnx.save(graph, folder / "shuffled.onnx")
    return folder / "shuffled.onnx"
