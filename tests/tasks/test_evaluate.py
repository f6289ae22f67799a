"""A model is judged on labelled data, whatever runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.progress import Event
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.data.datasets import open_dataset
from edgekit.tasks.data.samples import Sample
from edgekit.tasks.data.unlabelled import Pictures, open_pictures
from edgekit.tasks.decoding.recognise import recognise
from edgekit.tasks.evaluate import Examinee, evaluate, labelled_by, match_labels

Arrays = Mapping[str, NDArray[Any]]
PREPROCESS = Preprocess(input="x", height=4, width=4, color="gray")


@dataclass(frozen=True)
class Levels:
    """Plain pictures whose class is their gray level."""

    labels: tuple[str, ...]
    levels: tuple[int, ...]
    task: Literal["classification", "detection"] = "classification"
    notes: tuple[str, ...] = ()
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.levels)

    def __iter__(self) -> Iterator[Sample]:
        for level in self.levels:
            yield Sample(name=str(level), image=np.full((4, 4, 3), level, np.uint8), class_ids=np.array([level]))


def by_level(shift: int, classes: int) -> Any:
    """A model that answers with the gray level plus `shift`."""

    def run(feed: Arrays) -> Arrays:
        scores = np.zeros((1, classes), np.float32)
        scores[0, (int(feed["x"][0, 0, 0, 0]) + shift) % classes] = 1
        return {"y": scores}

    return run


def examinee(run: Any, postprocess: Postprocess | None, preprocess: Preprocess | None = PREPROCESS) -> Examinee:
    """A model with one gray picture and one row of scores."""
    inputs = (TensorSpec(name="x", shape=(1, 1, 4, 4), dtype="float32"),)
    outputs = (TensorSpec(name="y", shape=(1, 2), dtype="float32"),)
    return Examinee(run=run, inputs=inputs, outputs=outputs, preprocess=preprocess, postprocess=postprocess)


def classifier(*labels: str) -> Postprocess:
    return Postprocess(task="classification", head="classification", labels=labels)


def test_top1_counts_right_answers_and_says_so_for_each_class() -> None:
    data = Levels(labels=("a", "b"), levels=(0, 1, 1, 0))
    assert evaluate(examinee(by_level(0, 2), classifier("a", "b")), data).value == 1.0
    half = evaluate(examinee(lambda feed: {"y": np.array([[0.9, 0.1]])}, classifier("a", "b")), data)
    assert (half.metric, half.value, half.samples, half.by_label) == ("top1", 0.5, 4, {"a": 1.0, "b": 0.0})


def test_classes_are_matched_by_name_not_by_position() -> None:
    data = Levels(labels=("a", "b"), levels=(0, 1))
    assert evaluate(examinee(by_level(1, 2), classifier("b", "a")), data).value == 1.0


def test_samples_of_classes_the_model_does_not_know_are_left_out_aloud() -> None:
    data = Levels(labels=("a", "z"), levels=(0, 1, 0))
    score = evaluate(examinee(by_level(0, 2), classifier("a", "b")), data)
    assert (score.value, score.samples) == (1.0, 2)
    assert score.notes == ("left out: 1 classes that the model does not know (z)",)


MATCHES = [
    pytest.param(("cat", "dog"), ("dog", "bird", "cat"), (2, 0), id="by name"),
    pytest.param(("Traffic_Light",), ("person", "traffic light"), (1,), id="whatever case and separators"),
    pytest.param(("0", "1", "10"), ("zero", "one", "two"), (0, 1, None), id="numbers are positions"),
    pytest.param(("10", "9"), tuple(str(n) for n in range(11)), (10, 9), id="numbers that are names"),
    pytest.param(("cat", "dog"), ("class 0", "class 1"), (0, 1), id="nameless classes by position"),
]


@pytest.mark.parametrize(("data", "model", "expected"), MATCHES)
def test_labels_are_matched(data: tuple[str, ...], model: tuple[str, ...], expected: tuple[int | None, ...]) -> None:
    assert match_labels(data, model) == expected


@pytest.mark.parametrize("model", [("x", "y"), ("class 0", "class 1", "class 2")], ids=["other names", "another number"])
def test_labels_that_fit_nowhere_are_refused_with_examples(model: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"none of the 2 labels of the data \(cat, dog\)"):
        match_labels(("cat", "dog"), model)


def test_a_detector_is_not_judged_on_labels_without_boxes() -> None:
    data = Levels(labels=("a",), levels=(0,))
    with pytest.raises(InputError, match="the model does detection, the data is labelled for classification"):
        evaluate(examinee(by_level(0, 2), Postprocess(task="detection", head="yolox", labels=("a",))), data)


def test_progress_is_told_picture_by_picture() -> None:
    events: list[Event] = []
    data = Levels(labels=("a", "b"), levels=(0, 1))
    evaluate(examinee(by_level(0, 2), classifier("a", "b")), data, progress=events.append)
    assert [(event.done, event.total) for event in events] == [(0, 2), (1, 2), (2, 2)]


def onnx_examinee(path: Path) -> Examinee:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(path))
    inputs, outputs = (
        tuple(TensorSpec(name=node.name, shape=tuple(node.shape), dtype="float32") for node in nodes)
        for nodes in (session.get_inputs(), session.get_outputs())
    )
    known = recognise(inputs, outputs)
    assert known is not None
    names = [spec.name for spec in outputs]
    run = lambda feed: dict(zip(names, session.run(names, dict(feed)), strict=True))  # noqa: E731
    return Examinee(run=run, inputs=inputs, outputs=outputs, preprocess=known[0], postprocess=known[1])


def test_yolox_nano_reaches_its_published_precision(shared_data: Path) -> None:
    """The reference (OpenCV 5.0 pre-processing, its own evaluator): 0.463, person 0.762 with crowds taken out."""
    model = onnx_examinee(shared_data / "models_onnx" / "yolox_nano.onnx")
    score = evaluate(model, open_dataset(shared_data / "coco_eval"))
    assert (score.metric, score.samples, len(score.by_label)) == ("ap50", 19, 39)
    assert score.value == pytest.approx(0.463, abs=0.005)
    assert score.by_label["person"] == pytest.approx(0.778, abs=0.005)


def test_fastestdet_finds_people_on_the_same_pictures(shared_data: Path) -> None:
    model = onnx_examinee(shared_data / "models_onnx" / "fastestdet.onnx")
    score = evaluate(model, open_dataset(shared_data / "coco_eval"))
    assert 0.25 < score.value < 0.35
    assert score.by_label["person"] > 0.35


@dataclass(frozen=True)
class Unlabelled(Levels):
    """The same pictures, nobody knows of what."""

    labels: tuple[str, ...] = ()
    levels: tuple[int, ...] = (0, 1, 1, 0)
    task: Literal["unlabelled"] = "unlabelled"  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Sample]:
        for index, level in enumerate(self.levels):
            image = np.full((4, 4, 3), level, np.uint8)
            yield Sample(name=str(index), image=image, class_ids=np.zeros(0, np.int64))


def test_without_labels_agreement_with_the_source_is_measured() -> None:
    source = examinee(by_level(0, 2), classifier("a", "a"))
    data = labelled_by(source, Unlabelled())
    assert evaluate(source, data).value == 1.0
    stubborn = evaluate(examinee(lambda feed: {"y": np.array([[0.9, 0.1]])}, classifier("a", "a")), data)
    assert (stubborn.metric, stubborn.value, stubborn.samples) == ("agreement", 0.5, 4)
    assert any("agreement with the source model" in note for note in stubborn.notes)


def test_the_source_is_asked_once_for_each_picture() -> None:
    asked: list[int] = []

    def run(feed: Arrays) -> Arrays:
        asked.append(1)
        return by_level(0, 2)(feed)  # type: ignore[no-any-return]

    data = labelled_by(examinee(run, classifier("a", "b")), Unlabelled())
    for _ in range(3):
        assert [int(sample.class_ids[0]) for sample in data] == [0, 1, 1, 0]
    assert len(asked) == 4


def test_pictures_without_labels_and_without_a_source_are_refused() -> None:
    with pytest.raises(InputError, match="4 pictures without labels"):
        evaluate(examinee(by_level(0, 2), classifier("a", "b")), Unlabelled())


def faces(shared_data: Path) -> Pictures:
    """Two pictures with faces and six of all sorts."""
    pictures = open_pictures(shared_data / "coco_eval" / "images")
    return replace(pictures, paths=pictures.paths[:8])


def test_a_face_detector_agrees_with_itself_and_not_with_a_shifted_one(shared_data: Path) -> None:
    model = onnx_examinee(shared_data / "models_onnx" / "ultraface_version-RFB-320.onnx")
    data = labelled_by(model, faces(shared_data))
    assert evaluate(model, data).value == 1.0
    shifted = replace(model, run=lambda feed: {k: v + (0.2 if v.shape[-1] == 4 else 0) for k, v in model.run(feed).items()})
    score = evaluate(shifted, data)
    assert score.metric == "agreement"
    assert score.value < 0.5


def three_boxes(*scores: float) -> Examinee:
    """A face detector that always finds the same three boxes, with these scores."""
    boxes = np.array([[[0.1, 0.1, 0.3, 0.3], [0.4, 0.4, 0.6, 0.6], [0.7, 0.7, 0.9, 0.9]]], np.float32)
    faces = np.array([[[1 - score, score] for score in scores]], np.float32)
    inputs = (TensorSpec(name="x", shape=(1, 3, 8, 8), dtype="float32"),)
    outputs = tuple(TensorSpec(name=name, shape=(1, 3, size), dtype="float32") for name, size in (("s", 2), ("b", 4)))
    known = recognise(inputs, outputs)
    assert known is not None
    return Examinee(
        run=lambda feed: {"s": faces, "b": boxes}, inputs=inputs, outputs=outputs, preprocess=known[0], postprocess=known[1]
    )


@pytest.mark.parametrize(
    ("scores", "value"),
    [
        pytest.param((0.9, 0.65, 0.1), 1.0, id="the same"),
        pytest.param((0.8, 0.95, 0.1), 1.0, id="what was half seen is seen better"),
        pytest.param((0.8, 0.65, 0.95), 0.5, id="an invention, surer than the truth"),
        pytest.param((0.0, 0.65, 0.1), 0.0, id="a face that is lost"),
    ],
)
def test_agreement_counts_faces_lost_and_invented_and_not_those_half_seen(scores: tuple[float, ...], value: float) -> None:
    data = labelled_by(three_boxes(0.9, 0.65, 0.1), Unlabelled(levels=(0,)))
    assert evaluate(three_boxes(*scores), data).value == pytest.approx(value)


def test_a_label_that_two_classes_share_is_refused() -> None:
    with pytest.raises(InputError, match="several of the model's classes are called 'crane'"):
        match_labels(("crane", "cat"), ("crane", "cat", "Crane"))


def test_the_models_own_labels_match_however_often_a_name_comes() -> None:
    assert match_labels(("crane", "cat", "crane"), ("crane", "cat", "crane")) == (0, 1, 2)
