"""A model is judged on labelled data, whatever runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.progress import Event
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.datasets import open_dataset
from edgekit.tasks.evaluate import evaluate, match_labels
from edgekit.tasks.recognise import recognise
from edgekit.tasks.samples import Sample

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


def classifier(*labels: str) -> Postprocess:
    return Postprocess(task="classification", head="classification", labels=labels)


def test_top1_counts_right_answers_and_says_so_for_each_class() -> None:
    data = Levels(labels=("a", "b"), levels=(0, 1, 1, 0))
    assert evaluate(by_level(0, 2), data, PREPROCESS, classifier("a", "b")).value == 1.0
    half = evaluate(lambda feed: {"y": np.array([[0.9, 0.1]])}, data, PREPROCESS, classifier("a", "b"))
    assert (half.metric, half.value, half.samples, half.by_label) == ("top1", 0.5, 4, {"a": 1.0, "b": 0.0})


def test_classes_are_matched_by_name_not_by_position() -> None:
    data = Levels(labels=("a", "b"), levels=(0, 1))
    assert evaluate(by_level(1, 2), data, PREPROCESS, classifier("b", "a")).value == 1.0


def test_samples_of_classes_the_model_does_not_know_are_left_out_aloud() -> None:
    data = Levels(labels=("a", "z"), levels=(0, 1, 0))
    score = evaluate(by_level(0, 2), data, PREPROCESS, classifier("a", "b"))
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
        evaluate(by_level(0, 2), data, PREPROCESS, Postprocess(task="detection", head="yolox", labels=("a",)))


def test_progress_is_told_picture_by_picture() -> None:
    events: list[Event] = []
    data = Levels(labels=("a", "b"), levels=(0, 1))
    evaluate(by_level(0, 2), data, PREPROCESS, classifier("a", "b"), progress=events.append)
    assert [(event.done, event.total) for event in events] == [(0, 2), (1, 2), (2, 2)]


def onnx_runner(path: Path) -> tuple[Any, Preprocess, Postprocess]:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(path))
    inputs, outputs = (
        tuple(TensorSpec(name=node.name, shape=tuple(node.shape), dtype="float32") for node in nodes)
        for nodes in (session.get_inputs(), session.get_outputs())
    )
    known = recognise(inputs, outputs)
    assert known is not None
    names = [spec.name for spec in outputs]
    return lambda feed: dict(zip(names, session.run(names, dict(feed)), strict=True)), *known


def test_yolox_nano_reaches_its_published_precision(shared_data: Path) -> None:
    """The reference (OpenCV 5.0 pre-processing, its own evaluator): 0.463, person 0.762 with crowds taken out."""
    run, preprocess, postprocess = onnx_runner(shared_data / "models_onnx" / "yolox_nano.onnx")
    score = evaluate(run, open_dataset(shared_data / "coco_eval"), preprocess, postprocess)
    assert (score.metric, score.samples, len(score.by_label)) == ("ap50", 19, 39)
    assert score.value == pytest.approx(0.463, abs=0.005)
    assert score.by_label["person"] == pytest.approx(0.778, abs=0.005)


def test_fastestdet_finds_people_on_the_same_pictures(shared_data: Path) -> None:
    run, preprocess, postprocess = onnx_runner(shared_data / "models_onnx" / "fastestdet.onnx")
    score = evaluate(run, open_dataset(shared_data / "coco_eval"), preprocess, postprocess)
    assert 0.25 < score.value < 0.35
    assert score.by_label["person"] > 0.35
