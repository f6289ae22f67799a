"""`edgekit inspect`: one answer for ONNX files, TFLite files and artifacts."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from tiny import IN_SCALE, IN_ZERO, SOURCE_IN, SOURCE_OUT, Op, T, artifact, tflite, tiny_artifact, tiny_onnx, tiny_tflite

from edgekit.cli import main
from edgekit.core import profiles
from edgekit.core.errors import ArtifactError, InputError, NotFound
from edgekit.inspect import inspect

PROMISED = {"inputs", "outputs", "ops", "macs", "params", "mapping", "memory_bytes", "prediction"}


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def printed(capsys: pytest.CaptureFixture[str], *argv: object) -> Any:
    assert main(["inspect", *map(str, argv), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_onnx_file_shows_its_face_and_cost(tmp_path: Path) -> None:
    found = inspect(written(tmp_path, "tiny.onnx", tiny_onnx()))
    assert (found.inputs, found.outputs) == ((SOURCE_IN,), (SOURCE_OUT,))
    assert (found.cost.macs, found.cost.params, found.mapping) == (96, 8, None)


def test_a_quantized_tflite_file_shows_its_scales_and_its_mapping(tmp_path: Path) -> None:
    found = inspect(written(tmp_path, "tiny.TFLITE", tiny_tflite(quantized=True)))
    assert (found.inputs[0].scale, found.inputs[0].zero_point) == (IN_SCALE, IN_ZERO)
    assert found.mapping is not None
    assert not found.mapping.as_int8
    assert [place.on_tpu for place in found.mapping.placements] == [True]


def test_a_float_tflite_file_has_no_mapping_until_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "tiny.tflite", tiny_tflite(quantized=False))
    assert inspect(path).mapping is None
    mapping = inspect(path, target="coral").mapping
    assert mapping is not None
    assert mapping.as_int8
    assert all(place.on_tpu for place in mapping.placements)
    assert mapping.cache.weight_bytes == 6 + 2 * 4


def test_an_onnx_file_is_judged_for_the_coral_in_the_operators_it_would_get(tmp_path: Path) -> None:
    mapping = inspect(written(tmp_path, "tiny.onnx", tiny_onnx()), target="coral").mapping
    assert mapping is not None
    assert [place.op for place in mapping.placements if place.op == "CONV_2D"] == ["CONV_2D"]
    assert all(place.on_tpu for place in mapping.placements)


@pytest.mark.parametrize("target", ["rpi", "jetson", "cpu"])
def test_a_board_without_an_edge_tpu_asks_for_no_mapping(target: str, tmp_path: Path) -> None:
    assert inspect(written(tmp_path, "tiny.onnx", tiny_onnx()), target=target).mapping is None


@pytest.mark.parametrize("kind", ["onnx", "tflite", "tflite-int8", "edgetpu", "tensorrt"])
def test_an_artifact_shows_the_source_model_s_face(kind: str, tmp_path: Path) -> None:
    made = tiny_artifact(tmp_path, kind)
    found = inspect(made.path)
    assert (found.path, found.inputs, found.outputs) == (made.path, (SOURCE_IN,), (SOURCE_OUT,))
    assert found.cost.macs == 96
    assert (found.mapping is not None) == (kind in ("tflite-int8", "edgetpu"))


def test_a_compiled_file_counts_the_accelerator_s_piece_as_mapped(tmp_path: Path) -> None:
    tensors = [T(name=name, shape=(1, 4), scale=0.1) for name in "xyz"]
    operators = [
        Op(op="CUSTOM", custom="edgetpu-custom-op", inputs=("x",), outputs=("y",)),
        Op(op="SOFTMAX", inputs=("y",), outputs=("z",), version=2),
    ]
    mapping = inspect(written(tmp_path, "m_edgetpu.tflite", tflite(tensors, operators, ["x"], ["z"]))).mapping
    assert mapping is not None
    assert [(place.op, place.on_tpu) for place in mapping.placements] == [("edgetpu-custom-op", True), ("SOFTMAX", False)]
    assert "the compiler left it" in mapping.placements[1].reason


def test_the_json_has_the_promised_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, written(tmp_path, "tiny.onnx", tiny_onnx()), "--target", "coral")
    assert shown.keys() >= PROMISED
    assert shown["inputs"] == [{"name": "image", "shape": [1, 3, 4, 4], "dtype": "float32", "scale": None, "zero_point": None}]
    assert shown["ops"] == {"Conv": 1}
    assert (shown["macs"], shown["params"], shown["memory_bytes"], shown["prediction"]) == (96, 8, 320, None)
    mapping = shown["mapping"]
    assert (mapping["mapped"], mapping["first_off"]) == (mapping["total"], None)
    assert mapping["operators"][0].keys() == {"index", "op", "name", "version", "on_tpu", "reason"}
    assert mapping["parameter_cache"].keys() == {"weight_bytes", "cached_bytes", "streamed_bytes", "operators", "segments"}


def test_the_first_operator_that_does_not_map_is_in_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = [T(name=name, shape=(1, 8, 8, 4), scale=0.1) for name in "xyz"]
    operators = [Op(op="RELU", inputs=("x",), outputs=("y",)), Op(op="HARD_SWISH", inputs=("y",), outputs=("z",))]
    shown = printed(capsys, written(tmp_path, "swish.tflite", tflite(tensors, operators, ["x"], ["z"])))
    assert (shown["mapping"]["first_off"]["name"], shown["mapping"]["mapped"]) == ("z", 1)


def test_an_artifact_s_json_says_what_it_was_made_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, tiny_artifact(tmp_path, "edgetpu").path)
    assert shown["target"]["format"] == "edgetpu"


def test_the_page_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tiny_artifact(tmp_path, "tflite-int8")
    assert main(["inspect", str(made.path)]) == 0
    page = capsys.readouterr().out
    assert page.splitlines()[0] == str(made.path)
    for line in (
        "artifact     tflite fp32 for test, runs on litert",
        "input        image  float32 [1, 3, 4, 4]",
        "operators    1: CONV_2D 1",
        "compute      96 multiply-accumulates",
        "parameters   6 (6 B)",
        "activations  80 B at their peak (estimate)",
        "1 of 1 operators map to the Edge TPU",
    ):
        assert line in page.splitlines()


def test_an_edge_tpu_artifact_says_whether_it_is_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["inspect", str(tiny_artifact(tmp_path, "edgetpu").path)])
    assert "runs on edgetpu, not compiled yet" in capsys.readouterr().out
    files = {"model.tflite": tiny_tflite(quantized=True), "model_edgetpu.tflite": b"compiled"}
    main(["inspect", str(artifact(tmp_path / "compiled", files, "edgetpu", ("edgetpu",)).path)])
    assert "runs on edgetpu, compiled" in capsys.readouterr().out


def test_a_target_with_known_memory_shows_the_share_the_model_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(written(tmp_path, "tiny.onnx", tiny_onnx())), "--target", "jetson"]) == 0
    assert "memory       0.0% of the 8 GiB of jetson-orin-nano" in capsys.readouterr().out


def test_a_dynamic_size_can_be_given(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "dynamic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = written(tmp_path, "dynamic.onnx", model.SerializeToString())
    with pytest.raises(InputError):
        inspect(path)
    assert inspect(path, input_shapes={"x": (1, 3, 8, 8)}).outputs[0].shape == (1, 3, 8, 8)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.onnx"):
        inspect(tmp_path / "gone.onnx")


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"picture\.png' is not an ONNX file"):
        inspect(written(tmp_path, "picture.png", b"PNG"))


def test_every_operator_s_cost_and_the_memory_plan_are_in_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, written(tmp_path, "tiny.onnx", tiny_onnx()))
    (operator,) = shown["operators"]
    assert (operator["op"], operator["macs"], operator["bytes"]) == ("Conv", 96, 4 * 48 + 32 + 4 * 32)
    assert shown["arena_bytes"] == shown["memory_bytes"] == 320
    assert (shown["engine"], shown["ranking"]) == (None, [])


def test_a_target_ranks_all_boards_without_a_millisecond(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "tiny.onnx", tiny_onnx())
    shown = printed(capsys, path, "--target", "jetson")
    ranked = [standing for standing in shown["ranking"] if standing["ratio"] is not None]
    assert ranked[0]["ratio"] == 1
    assert [standing["ratio"] for standing in ranked] == sorted(standing["ratio"] for standing in ranked)
    assert len({standing["device"] for standing in shown["ranking"]}) == len(profiles.devices())
    assert main(["inspect", str(path), "--target", "jetson"]) == 0
    page = capsys.readouterr().out
    (marked,) = (line for line in page.splitlines() if line.strip().startswith(">"))
    assert "jetson-orin-nano " in marked
    assert " ms" not in page


def test_the_engine_of_a_jetson_says_what_stays_in_half_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, written(tmp_path, "tiny.onnx", tiny_onnx()), "--target", "jetson")
    assert shown["engine"]["runtime"] == "tensorrt"
    assert (shown["engine"]["counted"], len(shown["engine"]["floats"])) == (1, 1)


def test_operators_are_cut_to_the_costliest_unless_all_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"t{index}" for index in range(13)]
    tensors = [T(name=name, shape=(1, 4), scale=0.1) for name in names]
    operators = [Op(op="RELU", inputs=(one,), outputs=(other,)) for one, other in pairwise(names)]
    path = written(tmp_path, "long.tflite", tflite(tensors, operators, names[:1], names[-1:]))
    main(["inspect", str(path)])
    short = capsys.readouterr().out
    main(["inspect", str(path), "--ops"])
    whole = capsys.readouterr().out
    assert "of 12:" in short
    assert sum("RELU  " in line for line in whole.splitlines()) == 12
    assert "memory peaks at operator 0, RELU 't1'" in whole


def test_weights_beyond_the_accelerator_s_memory_are_named_with_a_way_to_hold_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = 3100
    tensors = [
        T(name="x", shape=(1, size), scale=0.1),
        T(name="w", shape=(size, size), data=bytes(size * size), scale=0.1),
        T(name="y", shape=(1, size), scale=0.1),
    ]
    operators = [Op(op="FULLY_CONNECTED", inputs=("x", "w"), outputs=("y",), version=4)]
    main(["inspect", str(written(tmp_path, "wide.tflite", tflite(tensors, operators, ["x"], ["y"])))])
    page = capsys.readouterr().out
    assert "9.61 MB of weights on the Edge TPU, 1.35 MB streamed at every inference" in page
    assert "FULLY_CONNECTED 'y' 9.61 MB" in page
    assert "edgetpu_compiler --num_segments 2" in page


def test_a_model_without_a_form_for_the_edge_tpu_still_shows_its_page(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Det", ["x"], ["y"])],
        "determinant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = written(tmp_path, "det.onnx", model.SerializeToString())
    found = inspect(path, target="coral")
    assert found.mapping is None
    assert any("no form for the Edge TPU" in note and "Det" in note for note in found.notes)
    engine = inspect(path, target="jetson").engine
    assert engine is not None
    assert "op Det at" in engine.refused


def test_hostile_sizes_are_shown_and_not_computed_with_until_something_breaks(tmp_path: Path) -> None:
    largest = (2**31 - 1,) * 4
    tensors = [T(name=name, shape=largest, scale=0.1) for name in "xy"]
    path = written(tmp_path, "huge.tflite", tflite(tensors, [Op(op="RELU", inputs=("x",), outputs=("y",))], ["x"], ["y"]))
    found = inspect(path, target="coral")
    assert found.cost.activation_bytes == 2 * (2**31 - 1) ** 4
    assert main(["inspect", str(path), "--target", "coral"]) == 0


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.tflite")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        inspect(tmp_path / "model.tflite")


def test_a_hostile_name_does_not_reach_the_terminal_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = [T(name="x\x1b[2J", shape=(1, 4), scale=0.1), T(name="y", shape=(1, 4), scale=0.1)]
    path = written(
        tmp_path, "m.tflite", tflite(tensors, [Op(op="RELU", inputs=("x\x1b[2J",), outputs=("y",))], ["x\x1b[2J"], ["y"])
    )
    assert main(["inspect", str(path)]) == 0
    page = capsys.readouterr().out
    assert "\x1b" not in page
    assert "x\\x1b[2J" in page


def test_a_folder_that_is_no_artifact_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        inspect(tmp_path)


@pytest.mark.parametrize("name", ["broken.onnx", "broken.tflite"])
def test_a_damaged_file_is_an_error_with_exit_code_1(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(written(tmp_path, name, b"\0" * 100))]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert said.out == ""


def test_an_unknown_board_gets_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(written(tmp_path, "tiny.onnx", tiny_onnx())), "--target", "corl"]) == 1
    assert "did you mean 'coral'?" in capsys.readouterr().err


def test_the_four_real_detectors_are_judged_for_the_coral(shared_data: Path) -> None:
    for name in ("yolox_nano", "fastestdet", "yunet_n_640_640", "ultraface_version-RFB-320"):
        mapping = inspect(shared_data / "models_onnx" / f"{name}.onnx", target="coral").mapping
        assert mapping is not None
        convolutions = [place for place in mapping.placements if place.op in ("CONV_2D", "DEPTHWISE_CONV_2D")]
        assert convolutions
        assert all(place.on_tpu for place in convolutions), name
