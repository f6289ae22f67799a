"""The digit network that ships: small, true to its card, and as good as it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_file
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.models.digits import FOLDER, NUMBER, artifacts, card, draw, model_path, number_picture, release, samples
from edgekit.tasks.pictures.images import read_image

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model() -> Any:
    return onnx.load(model_path())


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    return content


def probabilities(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 [N, 28, 28] to [N, 10]."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model_path()), options, providers=["CPUExecutionProvider"])
    feed = images[:, None, None].astype(np.float32) / np.float32(255)
    return np.concatenate([session.run(None, {"image": image})[0] for image in feed])


def test_it_has_fewer_than_100_000_parameters(model: Any, report: dict[str, Any]) -> None:
    count = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    assert count < 100_000
    assert count == report["model"]["parameters"]


def test_only_operators_that_every_edge_compiler_knows(model: Any) -> None:
    known = {"Conv", "Relu", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm", "Softmax"}
    assert {node.op_type for node in model.graph.node} <= known
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]


def test_its_face_is_static_and_named(model: Any) -> None:
    face = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert face == {"image": [1, 1, 28, 28], "probabilities": [1, 10]}


def test_it_says_how_to_feed_it(model: Any) -> None:
    import msgspec

    content = json.loads({entry.key: entry.value for entry in model.metadata_props}["edgekit"])
    before = msgspec.convert(content["preprocess"], Preprocess)
    after = msgspec.convert(content["postprocess"], Postprocess)
    assert (before.input, before.height, before.width, before.color, before.layout) == ("image", 28, 28, "gray", "nchw")
    assert before.scale == pytest.approx(1 / 255)
    assert (after.task, after.labels) == ("classification", tuple("0123456789"))
    assert content["licence"] == "Apache-2.0"


def test_the_file_names_nothing_of_the_machine_that_made_it(model: Any) -> None:
    assert not model.doc_string
    assert not model.graph.doc_string
    assert not any(node.doc_string for node in model.graph.node)
    assert b"/home" not in model_path().read_bytes()
    assert b"/tmp" not in model_path().read_bytes()


def test_the_card_is_what_the_report_says(report: dict[str, Any]) -> None:
    assert (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8") == card.render(report)


def test_the_report_is_of_the_model_that_ships(report: dict[str, Any]) -> None:
    assert report["model"]["sha256"] == sha256_file(model_path())
    assert report["model"]["bytes"] == model_path().stat().st_size
    kept = report["history"][report["kept_epoch"] - 1]
    assert kept["validation_accuracy"] == pytest.approx(report["validation"]["accuracy"], abs=1e-3)
    assert sum(map(sum, report["test"]["confusion"])) == report["test"]["samples"]


def test_it_is_right_as_often_as_its_card_says(shared_data: Path, report: dict[str, Any]) -> None:
    from edgekit.tasks.data.idx import read_labels
    from edgekit.tasks.data.mnist import open_pair

    pair = open_pair(shared_data / "mnist")
    assert sha256_file(pair.images.path) == report["data"][pair.images.path.name]
    truth = read_labels(pair.labels_path)
    wrong = int((probabilities(np.stack(tuple(pair.images))).argmax(axis=1) != truth).sum())
    assert len(truth) == report["test"]["samples"]
    assert 1 - wrong / len(truth) >= 0.995
    assert abs(wrong - report["test"]["errors"]) <= 1


def test_every_sample_is_read_rightly_and_there_are_two_of_each_digit() -> None:
    found = samples()
    images = np.stack([read_image(sample.path)[..., 0] for sample in found])
    assert probabilities(images).argmax(axis=1).tolist() == [sample.digit for sample in found]
    assert [sample.digit for sample in found] == [digit for digit in range(10) for _ in range(2)]


def test_hundreds_of_drawn_digits_are_read_rightly() -> None:
    images, truth = draw.small_digits(200, seed=9)
    assert (probabilities(images).argmax(axis=1) == truth).mean() >= 0.98


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    assert np.array_equal(draw.small_digit(5, 3), draw.small_digit(5, 3))
    assert not np.array_equal(draw.small_digit(5, 3), draw.small_digit(5, 4))
    assert np.array_equal(draw.page(["42"], 3), draw.page(["42"], 3))


def test_drawn_digits_are_centred_like_mnist() -> None:
    images, _ = draw.small_digits(50)
    rows, columns = np.mgrid[0:28, 0:28] + 0.5
    for image in images.astype(float):
        assert abs((image * rows).sum() / image.sum() - 14) <= 1
        assert abs((image * columns).sum() / image.sum() - 14) <= 1


def test_the_samples_that_ship_are_the_ones_the_code_draws(tmp_path: Path) -> None:
    release.draw_samples(tmp_path)
    for shipped in [*(sample.path for sample in samples()), number_picture()]:
        drawn = read_image(tmp_path / shipped.relative_to(FOLDER)).astype(int)
        assert np.abs(drawn - read_image(shipped)).max() <= 2
    assert re.fullmatch(r"\d+", NUMBER)


def test_a_run_that_was_not_tested_is_not_released(tmp_path: Path, report: dict[str, Any]) -> None:
    (tmp_path / "digits.onnx").write_bytes(model_path().read_bytes())
    (tmp_path / "training.json").write_text(json.dumps(report | {"test": None}), encoding="utf-8")
    with pytest.raises(InputError, match="not tested"):
        release.release(tmp_path, tmp_path / "out")


def test_packaged_artifacts_are_artifacts() -> None:
    from edgekit.artifact import read

    for path in artifacts():
        assert read(path).manifest.source.sha256 == sha256_file(model_path())


@pytest.mark.slow
def test_the_shipped_temperature_is_what_its_recipe_finds(shared_data: Path) -> None:
    pytest.importorskip("torch")
    from edgekit.models.digits import TEMPERATURE
    from edgekit.train.temperature import fit

    shipped = json.loads(TEMPERATURE.read_text(encoding="utf-8"))
    found = fit(shared_data / "mnist")
    assert found.keys() == shipped.keys()
    assert found["network"] == shipped["network"]
    for name in ("temperature", "calibration_error", "calibration_error_before"):
        assert found[name] == pytest.approx(shipped[name], abs=1e-3)
