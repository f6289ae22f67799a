"""Labelled arrays in one `.npz`: found by name or by shape, never guessed at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.core.errors import InputError
from edgekit.core.schema import Preprocess, TensorSpec
from edgekit.tasks.calibration.samples import calibration_samples
from edgekit.tasks.data.datasets import open_dataset
from edgekit.tasks.data.feeds import feed_of, model_input
from edgekit.tasks.evaluate import Examinee, evaluate

SPEC = TensorSpec(name="audio", shape=(1, 4, 2, 1), dtype="float32")
ROWS = np.arange(5 * 4 * 2, dtype=np.float32).reshape(5, 4, 2, 1)
CLASSES = np.array([0, 2, 2, 0, 7])


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


@pytest.mark.parametrize(
    "arrays",
    [
        pytest.param({"x": ROWS, "y": CLASSES}, id="x and y"),
        pytest.param({"features": ROWS, "labels": CLASSES}, id="features and labels"),
        pytest.param({"spectrum": ROWS, "word": CLASSES, "name": np.array(list("abcde"))}, id="other names, told by shape"),
        pytest.param({"x": ROWS, "extra": ROWS, "y": CLASSES[:, None].astype(np.uint8)}, id="labels in a column"),
    ],
)
def test_features_and_labels_are_found_by_name_or_by_shape(tmp_path: Path, arrays: dict[str, Any]) -> None:
    data = open_dataset(saved(tmp_path, **arrays))
    samples = list(data)
    assert (data.task, len(data), data.labels) == ("classification", 5, ("0", "2", "7"))
    assert [data.labels[sample.class_ids[0]] for sample in samples] == ["0", "2", "2", "0", "7"]
    assert all(np.array_equal(sample.features, row) for sample, row in zip(samples, ROWS, strict=True))


def test_a_folder_with_one_archive_is_that_archive(tmp_path: Path) -> None:
    saved(tmp_path, x=ROWS, y=CLASSES)
    assert len(open_dataset(tmp_path)) == 5
    np.savez(tmp_path / "more.npz", x=ROWS, y=CLASSES)
    with pytest.raises(InputError, match=r"several archives: data\.npz, more\.npz"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("shape", [(3, 6, 8), (3, 6, 8, 1), (3, 6, 8, 3)])
def test_bytes_in_the_shape_of_pictures_are_pictures(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (first, *_) = open_dataset(saved(tmp_path, x=np.full(shape, 9, np.uint8), y=np.array([0, 1, 1])))
    assert first.image is not None
    assert (first.image.shape, first.image.dtype, first.features) == ((6, 8, 3), np.uint8, None)


def test_words_are_classes_and_class_names_name_numbers(tmp_path: Path) -> None:
    words = open_dataset(saved(tmp_path, x=ROWS, y=np.array(["no", "yes", "no", "no", "up"])))
    assert words.labels == ("no", "up", "yes")
    assert [int(sample.class_ids[0]) for sample in words] == [0, 2, 0, 0, 1]
    named = open_dataset(saved(tmp_path, x=ROWS, y=np.array([1, 0, 1, 0, 1]), class_names=np.array(["cat", "dog"])))
    assert named.labels == ("cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        pytest.param({"x": ROWS}, "the 5 labels is not clear", id="no labels"),
        pytest.param({"a": ROWS, "b": ROWS, "y": CLASSES}, "the features is not clear", id="two features"),
        pytest.param({"x": ROWS, "a": CLASSES, "b": CLASSES}, "the 5 labels is not clear", id="two labels"),
        pytest.param({"x": ROWS, "y": CLASSES[:3]}, "the 5 labels is not clear", id="too few labels"),
        pytest.param({"x": ROWS, "y": CLASSES - 5}, "go from -5 to 2", id="negative classes"),
        pytest.param({"x": ROWS[:0], "y": CLASSES[:0]}, "the features is not clear", id="nothing in it"),
        pytest.param({"x": ROWS, "y": np.array([None] * 5)}, "not an array of numbers", id="objects"),
        pytest.param({"x": ROWS, "y": CLASSES, "class_names": np.array(["a"])}, "classes are 0 to 0", id="too few names"),
        pytest.param({"x": ROWS, "y": CLASSES, "class_names": np.array(["a"] * 9)}, "not different", id="equal names"),
    ],
)
def test_arrays_that_are_not_clear_are_refused_with_what_was_found(
    tmp_path: Path, arrays: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        open_dataset(saved(tmp_path, **arrays))
    assert caught.value.hint


def test_a_damaged_archive_is_a_sentence(tmp_path: Path) -> None:
    whole = saved(tmp_path, x=ROWS, y=CLASSES).read_bytes()
    (tmp_path / "data.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"not a whole \.npz"):
        open_dataset(tmp_path)


def test_float_features_go_in_as_they_are(tmp_path: Path) -> None:
    sample = next(iter(open_dataset(saved(tmp_path, x=ROWS, y=CLASSES))))
    assert np.array_equal(feed_of(sample, None, (SPEC,)).feed["audio"], ROWS[:1])


def test_integer_features_become_what_scale_mean_and_std_say() -> None:
    stored = np.array([[[-83], [0]]] * 4, np.int8)
    preprocess = Preprocess(input="audio", height=4, width=2, layout="nhwc", color="gray", scale=0.5, mean=(41.5,), std=(2.0,))
    found = model_input(stored, preprocess, SPEC, "row")
    assert (found.shape, found.dtype) == (SPEC.shape, np.float32)
    assert found[0, 0].ravel().tolist() == [(-83 * 0.5 - 41.5) / 2, -41.5 / 2]


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        pytest.param(np.zeros((4, 2, 1), np.int8), "what they stand for is not known", id="integers nobody explained"),
        pytest.param(
            np.zeros((2, 4, 1), np.float32), r"shape \[2, 4, 1\] does not fit input 'audio'.*\[1, 4, 2, 1\]", id="shape"
        ),
    ],
)
@pytest.mark.parametrize(
    "preprocess", [None, Preprocess(input="audio", height=4, width=2, layout="nhwc", color="gray", scale=1 / 255)]
)
def test_features_that_do_not_fit_are_refused(features: np.ndarray, sentence: str, preprocess: Preprocess | None) -> None:
    with pytest.raises(InputError, match=sentence):
        model_input(features, preprocess, SPEC, "row")


def test_a_model_of_feature_vectors_is_judged_by_position(tmp_path: Path) -> None:
    rows = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    path = saved(tmp_path, x=rows, y=np.array([0, 1, 2, 1]))
    examinee = Examinee(
        run=lambda feed: {"scores": feed["v"]},
        inputs=(TensorSpec(name="v", shape=(1, 3), dtype="float32"),),
        outputs=(TensorSpec(name="scores", shape=(1, 3), dtype="float32"),),
        preprocess=None,
        postprocess=None,
    )
    score = evaluate(examinee, open_dataset(path))
    assert (score.metric, score.value, score.samples) == ("top1", 0.75, 4)
    assert len(score.data_sha256) == 64


def test_labelled_arrays_are_calibration_data_too(tmp_path: Path) -> None:
    path = saved(tmp_path, x=ROWS, y=CLASSES)
    feeds = calibration_samples(path, None, (SPEC,), limit=3)
    assert [feed["audio"][0, 0, 0, 0] for feed in feeds] == [ROWS[0, 0, 0, 0], ROWS[2, 0, 0, 0], ROWS[4, 0, 0, 0]]
    with pytest.raises(InputError, match=r"shape \[4, 2, 1\] does not fit input 'audio', which takes \[1, 8\]"):
        list(calibration_samples(path, None, (TensorSpec(name="audio", shape=(1, 8), dtype="float32"),)))
