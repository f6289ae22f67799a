"""`edgekit run explain`: the map of a detection or of a class, by the artifact that saw it."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cameras import standing_artifact

from edgekit.apps import explain
from edgekit.apps.base import RunOptions
from edgekit.cli import main
from edgekit.core.errors import InputError, MissingDependency, Unsupported, UsageError
from edgekit.models.digits import artifacts
from edgekit.tasks.pictures.images import read_image, write_png


def boxed(precision: str) -> Path:
    return next(path for path in artifacts() if precision in path.name)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A digit as MNIST draws it."""
    digit = np.zeros((28, 28, 3), np.uint8)
    digit[4:24, 13:16] = 255
    write_png(tmp_path / "one.png", digit)
    return tmp_path / "one.png"


def test_a_classifiers_class_is_explained_by_its_activation_map(
    one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    out = tmp_path / "why.png"
    asked = ["run", "explain", "--artifact", str(boxed("int8")), "--image", str(one), "-o", str(out), "--json"]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["label"], found["method"], found["calls"]) == ("1", "cam", 1)
    assert found["score"] > 0.9
    assert not np.array_equal(read_image(out), read_image(one))


def test_another_class_may_be_asked_about_and_one_that_is_none_is_refused(one: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    asked = RunOptions(artifact=boxed("int8"), image=one, own={"label": "7"})
    assert explain.run(asked).result["class_id"] == 7
    with pytest.raises(UsageError, match="knows no 'cat'"):
        explain.run(RunOptions(artifact=boxed("int8"), image=one, own={"label": "cat"}))


def test_a_classifier_that_shows_no_features_says_what_helps(one: Path) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    with pytest.raises(Unsupported, match="only TFLite shows its features"):
        explain.run(RunOptions(artifact=boxed("fp32"), image=one))


def test_a_class_is_explained_by_the_gradients_of_the_model_beside_the_artifact(one: Path) -> None:
    pytest.importorskip("torch", reason="gradients need PyTorch")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    found = explain.run(RunOptions(artifact=boxed("fp32"), image=one, own={"method": "grad-cam"})).result
    assert (found["label"], found["method"], found["calls"]) == ("1", "grad-cam", 1)


def test_without_pytorch_gradients_say_what_to_install(one: Path) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    if find_spec("torch") is not None:
        pytest.skip("PyTorch is installed here")
    with pytest.raises(MissingDependency, match="torch is not installed"):
        explain.run(RunOptions(artifact=boxed("fp32"), image=one, own={"method": "grad-cam"}))


def test_gradients_of_another_model_are_refused(one: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    (tmp_path / "other.onnx").write_bytes(b"another model")
    asked = RunOptions(artifact=boxed("fp32"), image=one, own={"method": "grad-cam", "original": tmp_path / "other.onnx"})
    with pytest.raises(InputError, match=r"'other.onnx' is not what 'digits.host.fp32' was made from"):
        explain.run(asked)


def test_a_detection_is_explained_by_the_cells_of_its_head(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
    write_png(tmp_path / "yard.png", np.full((128, 192, 3), 120, np.uint8))
    asked = RunOptions(artifact=standing_artifact(tmp_path / "standing"), image=tmp_path / "yard.png")
    found = explain.run(asked).result
    assert (found["label"], found["method"], found["calls"]) == ("person", "cells", 1)
    cell = (88, 24)
    """The middle of the cell that speaks, the sixth of the second row, in pixels of a picture twice as large as the input."""
    assert np.hypot(*(np.array(found["hottest"]) - cell)) <= 32
    with pytest.raises(InputError, match="nothing is seen"):
        explain.run(RunOptions(artifact=asked.artifact, image=asked.image, own={"label": "thing"}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (RunOptions(image=Path("x.png")), "needs --artifact"),
        (RunOptions(artifact=Path("a")), "needs --image"),
        (RunOptions(artifact=Path("a"), image=Path("x.png"), output=Path("y.jpg")), "writes PNG"),
        (RunOptions(source="0"), "no use for --source"),
    ],
)
def test_what_cannot_be_explained_says_what_is_missing(options: RunOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        explain.run(options)
