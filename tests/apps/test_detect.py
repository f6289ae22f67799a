"""`edgekit run detect`: a picture goes in, named boxes come out, and what cannot work says why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from detectors import IMAGE_SPEC, ROWS_SPEC, artifact_of, constant_detector
from numpy.typing import NDArray

from edgekit.apps.base import RunOptions
from edgekit.apps.detect import rows as told
from edgekit.apps.detect import run
from edgekit.apps.drawing import color_of, draw
from edgekit.cli import main
from edgekit.core.errors import ArtifactError, EdgekitError, InputError, NotFound, Unsupported, UsageError
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.detection import Detections
from edgekit.tasks.pictures.images import read_image, write_png


def rows() -> NDArray[np.float32]:
    """What a YOLOX of two classes says when a thing of class 1 stands at (40, 4) to (56, 20) of its input."""
    array = np.zeros(ROWS_SPEC.shape, np.float32)
    array[0, 17] = [48 / 8 - 5, 12 / 8 - 1, np.log(2), np.log(2), 0.9, 0.1, 0.8]
    return array


def detector(folder: Path, **changes: Preprocess | Postprocess | None) -> Path:
    """The constant detector as an artifact."""
    return artifact_of(folder / "constant.test.fp32", constant_detector(rows()), IMAGE_SPEC, ROWS_SPEC, **changes)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Twice the size of the model's input."""
    write_png(tmp_path / "in.png", np.full((128, 192, 3), 90, np.uint8))
    return tmp_path / "in.png"


def test_boxes_come_in_pixels_of_the_given_picture(tmp_path: Path, picture: Path) -> None:
    answer = run(RunOptions(artifact=detector(tmp_path), image=picture))
    (found,) = answer.result["detections"]
    assert found == {"label": "class 1", "class_id": 1, "score": 0.72, "box": [80.0, 8.0, 112.0, 40.0]}
    assert answer.result["runtime"] == "onnxruntime"
    assert answer.result["latency_ms"] >= 0
    assert "class 1" in answer.text
    assert "1 found by onnxruntime" in answer.text


def test_the_drawn_picture_frames_the_box_in_the_colour_of_its_class(tmp_path: Path, picture: Path) -> None:
    output = tmp_path / "sub" / "out.png"
    answer = run(RunOptions(artifact=detector(tmp_path), image=picture, output=output))
    drawn = read_image(output)
    assert drawn.shape == (128, 192, 3)
    assert tuple(drawn[25, 80]) == color_of(1)
    assert tuple(drawn[100, 20]) == (90, 90, 90)
    assert f"drawn in {output}" in answer.text


def test_the_same_picture_is_drawn_the_same_twice(tmp_path: Path, picture: Path) -> None:
    artifact = detector(tmp_path)
    for name in ("a.png", "b.png"):
        run(RunOptions(artifact=artifact, image=picture, output=tmp_path / name))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_runtime_that_answers_zeros_finds_nothing(tmp_path: Path, picture: Path) -> None:
    answer = run(RunOptions(artifact=detector(tmp_path), image=picture, runtime="dryrun"))
    assert answer.result["detections"] == []
    assert answer.text.startswith("nothing found")


def test_on_the_command_line_json_is_all_there_is(tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "detect", "--artifact", str(detector(tmp_path)), "--image", str(picture), "--json"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert sorted(result) == ["detections", "latency_ms", "runtime", "runtimes"]
    (choice,) = result["runtimes"]
    assert (choice["runtime"], choice["passed_over"]) == (result["runtime"], [])
    assert f"{choice['artifact']} runs on {choice['runtime']}" in said.err


def test_an_app_that_is_not_there_gets_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "detct"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: no app named 'detct'\n  try: did you mean 'detect'?\n"


def test_helpers_beside_the_apps_are_not_apps(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("base", "drawing", "__init__"):
        assert main(["run", name]) == 1
        assert "no app named" in capsys.readouterr().err


def test_a_picture_and_a_source_exclude_each_other(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "detect", "--image", str(picture), "--source", "0"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


USAGE = [
    pytest.param({"image": Path("a.png")}, "detect needs --artifact", id="no artifact"),
    pytest.param({"artifact": Path("a")}, "detect needs --image", id="no picture"),
    pytest.param({"artifact": Path("a"), "source": "0"}, "no use for --source", id="a camera"),
    pytest.param({"artifact": Path("a"), "image": Path("a"), "config": Path("c")}, "no use for --config", id="settings"),
    pytest.param(
        {"artifact": Path("a"), "image": Path("a"), "output": Path("o.jpg")}, r"PNG, not 'o\.jpg'", id="another format"
    ),
]


@pytest.mark.parametrize(("options", "message"), USAGE)
def test_options_that_do_not_fit_end_with_an_example(options: dict[str, Path], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        run(RunOptions(**options))
    assert caught.value.hint.startswith("edgekit run detect --artifact")


def test_an_artifact_that_classifies_is_refused(tmp_path: Path, picture: Path) -> None:
    labels = ("a", "b")
    made = detector(tmp_path, postprocess=Postprocess(task="classification", head="classification", labels=labels))
    with pytest.raises(Unsupported, match="does classification, not detection"):
        run(RunOptions(artifact=made, image=picture))


@pytest.mark.parametrize("missing", ["preprocess", "postprocess"])
def test_an_artifact_of_an_unknown_head_says_what_is_missing(tmp_path: Path, picture: Path, missing: str) -> None:
    with pytest.raises(ArtifactError, match=rf"says nothing of its {missing}ing"):
        run(RunOptions(artifact=detector(tmp_path, **{missing: None}), image=picture))


def test_a_missing_artifact_or_picture_and_a_broken_picture_are_told_apart(tmp_path: Path, picture: Path) -> None:
    with pytest.raises(NotFound, match="no artifact at"):
        run(RunOptions(artifact=tmp_path / "gone", image=picture))
    with pytest.raises(NotFound, match="no picture at"):
        run(RunOptions(artifact=detector(tmp_path), image=tmp_path / "gone.png"))
    (tmp_path / "broken.png").write_bytes(b"no")
    with pytest.raises(InputError, match="is not a picture"):
        run(RunOptions(artifact=tmp_path / "constant.test.fp32", image=tmp_path / "broken.png"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgekitError, match="could not write"):
        run(RunOptions(artifact=detector(tmp_path), image=picture, output=tmp_path / "file" / "out.png"))


def test_points_are_told_in_pixels_and_those_that_are_sure_are_drawn() -> None:
    points = np.array([[[20.04, 30, 0.9], [50, 30, 0.1]]], np.float32)
    found = Detections(
        boxes=np.array([[0, 0, 80, 60]], np.float32),
        scores=np.array([0.5], np.float32),
        class_ids=np.array([1]),
        labels=("person",),
        landmarks=points[..., :2] + 10,
        keypoints=points,
    )
    (row,) = told(found)
    assert row["keypoints"] == [[20.0, 30.0, 0.9], [50.0, 30.0, 0.1]]
    assert row["landmarks"] == [[30.0, 40.0], [60.0, 40.0]]
    drawn = draw(np.full((100, 100, 3), 90, np.uint8), found)
    assert tuple(drawn[30, 20]) == color_of(1)
    assert tuple(drawn[30, 50]) == (90, 90, 90)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (480, 640)], ids=str)
def test_anything_can_be_drawn_into_a_picture_of_any_size(size: tuple[int, int]) -> None:
    height, width = size
    edges = np.array([[0, 0, width, height], [width - 1, height - 1, width, height], [0, 0, 0.5, 0.5]], np.float32)
    found = Detections(
        boxes=edges,
        scores=np.array([1.0, 0.5, 0.1], np.float32),
        class_ids=np.array([0, 5, 12345]),
        labels=("a label that is longer than the picture is wide", "ü", ""),
        landmarks=np.zeros((3, 5, 2), np.float32),
    )
    image = np.zeros((height, width, 3), np.uint8)
    assert draw(image, found).shape == image.shape
    assert not image.any()


def test_a_real_photograph_shows_its_people(tmp_path: Path, shared_data: Path) -> None:
    """The cat stays a cat, and four people sit at the table: YOLOX-nano as an artifact in ONNX Runtime."""
    model = (shared_data / "models_onnx" / "yolox_nano.onnx").read_bytes()
    spec_in = TensorSpec(name="images", shape=(1, 3, 416, 416), dtype="float32")
    spec_out = TensorSpec(name="output", shape=(1, 3549, 85), dtype="float32")
    made = artifact_of(tmp_path / "yolox", model, spec_in, spec_out)
    table = run(RunOptions(artifact=made, image=shared_data / "coco_eval" / "images" / "000000000790.jpg"))
    labels = [found["label"] for found in table.result["detections"] if found["score"] >= 0.5]
    assert labels.count("person") == 4
    cat = run(RunOptions(artifact=made, image=shared_data / "images_coral" / "cat.bmp"))
    assert cat.result["detections"][0]["label"] == "cat"
    assert cat.result["detections"][0]["score"] == pytest.approx(0.74, abs=0.02)
