"""`edgekit.load`: which runtime is chosen, and what is said about the others."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tiny import answer, artifact, tiny_artifact, tiny_onnx

from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError, NotFound, Unsupported, UsageError
from edgekit.core.schema import Artifact
from edgekit.loading import load, noted, order

IMAGE = np.ones((1, 3, 4, 4), np.float32)


def test_a_folder_is_opened_by_path_with_the_runtime_of_its_manifest(tmp_path: Path) -> None:
    made = tiny_artifact(tmp_path, "onnx")
    with load(str(made.path)) as session:
        assert session.runtime == "onnxruntime"
        np.testing.assert_allclose(session.run({"image": IMAGE})["scores"], answer(IMAGE), rtol=1e-6)


@pytest.mark.parametrize("first", ["import edgekit", "import edgekit.loading", "from edgekit.loading import load"])
def test_edgekit_load_is_the_function_whatever_was_imported_first(first: str) -> None:
    script = f"{first}\nimport edgekit\nassert edgekit.load is edgekit.load and callable(edgekit.load), edgekit.load"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_any_artifact_opens_in_the_runtime_that_needs_nothing(tmp_path: Path) -> None:
    for kind in ("onnx", "tflite", "tflite-int8"):
        with load(tiny_artifact(tmp_path / kind, kind).path, runtime="dryrun") as session:
            scores = session.run({"image": IMAGE})["scores"]
            assert (scores.shape, scores.dtype.name, scores.any()) == ((1, 2, 4, 4), "float32", False)


def test_a_runtime_that_cannot_work_is_passed_over_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = artifact(tmp_path / "a", {"model.onnx": tiny_onnx()}, "onnx", ("edgetpu", "nosuch", "onnxruntime"))
    with caplog.at_level(logging.INFO), load(made.path) as session:
        assert session.runtime == "onnxruntime"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert (
        "a runs on onnxruntime (edgetpu: runtime 'edgetpu' runs edgetpu artifacts, not onnx; nosuch: no runtime"
        in record.message
    )


def test_the_first_choice_is_logged_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load(tiny_artifact(tmp_path, "tflite").path).close()
    assert [(record.levelno, record.message) for record in caplog.records] == [(logging.INFO, "tiny.rpi5.fp32 runs on litert")]


def test_when_none_works_every_reason_is_shown(tmp_path: Path) -> None:
    made = artifact(tmp_path / "a", {"model.tflite": b"x"}, "tflite", ("onnxruntime", "edgetpu"))
    with pytest.raises(DeviceError) as caught:
        load(made.path)
    assert caught.value.message == (
        "no runtime can run 'a' here:"
        "\n  onnxruntime: runtime 'onnxruntime' runs onnx and tensorrt artifacts, not tflite"
        "\n  edgetpu: runtime 'edgetpu' runs edgetpu artifacts, not tflite"
    )
    assert caught.value.hint


def test_an_explicit_runtime_that_does_not_take_the_format_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="'litert' runs tflite and edgetpu artifacts, not onnx") as caught:
        load(tiny_artifact(tmp_path, "onnx").path, runtime="litert")
    assert "onnxruntime" in caught.value.hint


def test_an_explicit_runtime_that_is_not_here_says_why_instead_of_falling_back(tmp_path: Path) -> None:
    made = artifact(tmp_path / "a", {"model.tflite": b"x"}, "edgetpu", ("edgetpu", "litert"))
    with pytest.raises(EdgekitError, match=r"Edge TPU|compiled"):
        load(made.path, runtime="edgetpu")


def test_an_unknown_runtime_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load(tiny_artifact(tmp_path, "onnx").path, runtime="lite-rt")
    assert caught.value.hint == "did you mean 'litert'?"


def test_a_negative_number_of_threads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got -1"):
        load(tiny_artifact(tmp_path, "onnx").path, threads=-1)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_threads_do_not_change_the_answer(kind: str, tmp_path: Path) -> None:
    made = tiny_artifact(tmp_path, kind)
    answers = []
    for threads in (1, 2):
        with load(made.path, threads=threads) as session:
            answers.append(session.run({"image": IMAGE})["scores"])
    np.testing.assert_allclose(*answers, rtol=1e-6)


def test_a_changed_payload_is_refused_before_any_engine_sees_it(tmp_path: Path) -> None:
    made = tiny_artifact(tmp_path, "onnx")
    file = made.path / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError):
        load(made.path)


def test_no_artifact_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(tmp_path / "gone")


PROFILE = """
name: {name}
title: A board of mine
family: host
isa: any
engines:
{engines}
"""


def own_profile(folder: Path, name: str, *runtimes: str) -> None:
    (folder / "hardware_profiles").mkdir()
    engines = "\n".join(
        f"  - {{runtime: {runtime}, format: onnx, precisions: [fp32]{', dialect: x86' * (runtime == 'onnxruntime')}}}"
        for runtime in runtimes
    )
    (folder / "hardware_profiles" / f"{name}.yaml").write_text(PROFILE.format(name=name, engines=engines))


def test_runtimes_are_tried_in_the_order_of_the_board_s_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = tiny_artifact(tmp_path, "onnx")
    assert order(made) == ("onnxruntime", "opencv")
    own_profile(tmp_path, "test", "dryrun", "onnxruntime")
    assert order(made) == ("dryrun", "onnxruntime", "opencv")
    with load(made.path) as session:
        assert session.runtime == "dryrun"


def on_board(made: Artifact, board: str) -> Artifact:
    target = msgspec.structs.replace(made.manifest.target, device=board)
    return msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, target=target))


def test_a_shipped_profile_s_order_holds_before_the_manifest_s(tmp_path: Path) -> None:
    files = {"model.tflite": b"x", "model_edgetpu.tflite": b"x"}
    made = artifact(tmp_path / "a", files, "edgetpu", ("litert", "edgetpu"))
    assert order(on_board(made, "coral-usb")) == ("edgetpu", "litert")
    assert order(on_board(made, "no-such-board")) == ("litert", "edgetpu")
    assert order(on_board(made, "../coral-usb")) == ("litert", "edgetpu")
    jetson = artifact(tmp_path / "b", {"model.onnx": tiny_onnx()}, "tensorrt", ("onnxruntime", "tensorrt"))
    assert order(on_board(jetson, "jetson-orin-nano")) == ("tensorrt", "onnxruntime")


def test_a_broken_profile_does_not_stand_in_the_way_of_an_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hardware_profiles").mkdir()
    (tmp_path / "hardware_profiles/test.yaml").write_text("not: a profile")
    assert order(tiny_artifact(tmp_path, "onnx")) == ("onnxruntime", "opencv")


def test_the_last_resort_is_taken_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    made = artifact(tmp_path / "a", {"model.onnx": tiny_onnx()}, "onnx", ("nosuch",))
    with load(made.path) as session:
        assert session.runtime == "opencv"
    assert "a runs on opencv (nosuch: no runtime named 'nosuch')" in caplog.text


def test_what_was_chosen_and_why_can_be_noted(tmp_path: Path) -> None:
    made = artifact(tmp_path / "a", {"model.onnx": tiny_onnx()}, "onnx", ("edgetpu", "onnxruntime"))
    with noted() as choices:
        load(made.path).close()
        load(made.path, runtime="dryrun").close()
    load(made.path).close()
    first, second = choices
    assert (first.runtime, first.not_tried, second.runtime) == ("onnxruntime", ("opencv",), "dryrun")
    assert first.plain()["passed_over"] == [
        {
            "name": "edgetpu",
            "reason": "runtime 'edgetpu' runs edgetpu artifacts, not onnx",
            "hint": "'a' runs on: edgetpu, onnxruntime",
        }
    ]
