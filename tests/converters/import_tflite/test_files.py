"""What happens to whole TFLite files: real ones, and ones that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Op, T, tflite, tiny_tflite

from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.tflite import load
from edgekit.converters.optimise import optimise
from edgekit.converters.tflite_file.read import load as read_file
from edgekit.core.errors import InputError, NotFound, Unsupported
from edgekit.runtimes.onnxruntime import execute


def floats(name: str, *shape: int, **more: Any) -> T:
    return T(name=name, shape=shape, dtype="float32", **more)


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        load(tmp_path / "nothing.tflite")


def test_a_custom_op_in_the_middle_is_named_with_its_tensor(imported: Any) -> None:
    ops = [Op(op="CUSTOM", inputs=["x"], outputs=["m"], custom="Frobnicate"), Op(op="RELU", inputs=["m"], outputs=["y"])]
    with pytest.raises(Unsupported, match="custom op 'Frobnicate' at 'm'"):
        imported(tflite([floats("x", 1, 4), floats("m", 1, 4), floats("y", 1, 4)], ops, ["x"], ["y"]))


def test_a_custom_op_at_the_end_is_left_to_the_application_and_said_so(imported: Any) -> None:
    tensors = [floats("x", 1, 4), floats("boxes", 1, 4), floats("anchors", 2, data=np.ones(2, np.float32)), floats("found", 1)]
    ops = [
        Op(op="RELU", inputs=["x"], outputs=["boxes"]),
        Op(op="CUSTOM", inputs=["boxes", "anchors"], outputs=["found"], custom="TFLite_Detection_PostProcess"),
    ]
    found = imported(tflite(tensors, ops, ["x"], ["found"]))
    assert [spec.name for spec in found.graph.outputs] == ["boxes"]
    assert "TFLite_Detection_PostProcess" in found.notes[0]
    assert "'boxes'" in found.notes[0]


def test_a_file_compiled_for_the_edge_tpu_is_sent_back(imported: Any) -> None:
    ops = [Op(op="CUSTOM", inputs=["x"], outputs=["y"], custom="edgetpu-custom-op")]
    with pytest.raises(Unsupported, match="compiled for the Edge TPU") as caught:
        imported(tflite([floats("x", 1, 4), floats("y", 1, 4)], ops, ["x"], ["y"]))
    assert "uncompiled" in caught.value.hint


def test_an_operator_without_an_importer_is_named(imported: Any) -> None:
    ops = [Op(op="UNIQUE", inputs=["x"], outputs=["y"])]
    with pytest.raises(Unsupported, match="op UNIQUE at 'y'"):
        imported(tflite([floats("x", 4), floats("y", 4)], ops, ["x"], ["y"]))


def test_a_tensor_that_nothing_makes_is_named(imported: Any) -> None:
    ops = [Op(op="ADD", inputs=["x", "w"], outputs=["y"])]
    with pytest.raises(InputError, match="'w' is read and nothing makes it"):
        imported(tflite([floats("x", 1, 4), floats("w", 1, 4), floats("y", 1, 4)], ops, ["x"], ["y"]))


def test_a_shape_that_contradicts_its_operator_is_named(imported: Any) -> None:
    ops = [Op(op="RELU", inputs=["x"], outputs=["y"])]
    with pytest.raises(InputError, match=r"'y' has the shape \(1, 5\), its operator gives \(1, 4\)"):
        imported(tflite([floats("x", 1, 4), floats("y", 1, 5)], ops, ["x"], ["y"]))


def test_a_constant_with_too_few_bytes_is_named(imported: Any) -> None:
    ops = [Op(op="ADD", inputs=["x", "w"], outputs=["y"])]
    short = floats("w", 1, 4, data=np.ones(3, np.float32))
    with pytest.raises(InputError, match=r"'w' of shape \(1, 4\) has 3 values"):
        imported(tflite([floats("x", 1, 4), short, floats("y", 1, 4)], ops, ["x"], ["y"]))


@pytest.mark.parametrize(
    ("scale", "zero_point", "message"),
    [
        (0.0, 0, "not a positive number"),
        (float("nan"), 0, "not a positive number"),
        (1.0, 300, "zero point 300"),
        ([1.0, 1.0], [0, 0, 0], "2 scales and 3 zero points"),
    ],
)
def test_scales_that_make_no_sense_are_named(scale: Any, zero_point: Any, message: str, imported: Any) -> None:
    data = np.ones((2, 4), np.int8)
    weight = T(name="w", shape=(2, 4), data=data, scale=scale, zero_point=zero_point)
    ops = [Op(op="FULLY_CONNECTED", inputs=["x", "w", ""], outputs=["y"], options_type="FullyConnectedOptions")]
    with pytest.raises(InputError, match=message):
        imported(tflite([floats("x", 1, 4), weight, floats("y", 1, 2)], ops, ["x"], ["y"]))


def test_an_open_size_is_asked_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "open.tflite"
    tensors = [floats("x", 1, 8, signature=(-1, -1)), floats("y", 1, 8)]
    path.write_bytes(tflite(tensors, [Op(op="RELU", inputs=["x"], outputs=["y"])], ["x"], ["y"]))
    with pytest.raises(InputError, match="'x' has open sizes") as caught:
        load(path)
    assert "--input-shape x=1x8" in caught.value.hint
    assert load(path, input_shapes={"x": (1, 8)}).graph.outputs[0].shape == (1, 8)


def test_another_shape_than_the_file_was_written_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_tflite(quantized=False))
    with pytest.raises(Unsupported, match="fixed shape 1x4x4x3, not 1x8x8x3"):
        load(path, input_shapes={"image": (1, 8, 8, 3)})
    with pytest.raises(InputError, match="no input 'picture'"):
        load(path, input_shapes={"picture": (1, 4, 4, 3)})


def test_an_inner_tensor_and_an_input_may_be_outputs_too(imported: Any) -> None:
    graph = imported(
        tflite(
            [floats("x", 1, 4), floats("m", 1, 4), floats("y", 1, 4)],
            [Op(op="RELU", inputs=["x"], outputs=["m"]), Op(op="EXP", inputs=["m"], outputs=["y"])],
            ["x"],
            ["m", "y", "x"],
        )
    ).graph
    assert [spec.name for spec in graph.outputs][:2] == ["m", "y"]
    assert graph.outputs[2].name != "x"


REAL = {
    "models_mlperf_tiny/ic_resnet8_fp32": 1e-4,
    "models_mlperf_tiny/vww_96_float": 1e-4,
    "models_mlperf_tiny/ad01_fp32": 1e-4,
    "models_mediapipe/face_detection_short_range": 1e-4,
    "models_mediapipe/pose_detection": 1e-4,
    "models_detection/yolox_nano_float16_quantize": 5e-4,
}
INTEGERS = {
    "models_mlperf_tiny/kws_ref_model_int8": 2,
    "models_mlperf_tiny/vww_96_int8": 3,
    "models_mlperf_tiny/ad01_int8": 1,
    "models_mlperf_tiny/ic_resnet8_int8": 8,
    "models_coral/mobilenet_v1_0.25_128_quant": 4,
    "models_coral/mobilenet_v2_1.0_224_quant": 8,
    "models_coral/split_concat": 0,
    "models_tflm/micro_speech_quantized": 2,
    "models_coral/keras_lstm_mnist_ptq": 3,
}
"""Steps of the output's grid; LiteRT's own two sets of kernels differ by up to 8 on the same files."""


@pytest.mark.parametrize("name", REAL)
def test_real_float_files_compute_what_litert_computes(name: str, shared_data: Path, litert: Any) -> None:
    path = shared_data / f"{name}.tflite"
    graph = optimise(load(path).graph)
    feed = {spec.name: np.random.default_rng(0).random(spec.shape, np.float32) for spec in graph.inputs}
    expected, found = litert(path.read_bytes(), feed), execute(to_bytes(graph))(feed)
    assert list(expected) == list(found)
    for key, value in expected.items():
        assert np.abs(found[key] - value).max() <= REAL[name] * np.abs(value).max()


@pytest.mark.parametrize("name", INTEGERS)
def test_real_integer_files_stay_within_a_few_steps_of_litert(name: str, shared_data: Path, litert: Any) -> None:
    path = shared_data / f"{name}.tflite"
    file, graph = read_file(path), load(path).graph
    raw, feed = {}, {}
    for index, spec in zip(file.inputs, graph.inputs, strict=True):
        tensor = file.tensors[index]
        limits = np.iinfo(tensor.dtype)
        values = np.random.default_rng(0).integers(limits.min, limits.max + 1, tensor.shape).astype(tensor.dtype)
        raw[tensor.name] = values
        feed[spec.name] = (values.astype(np.float32) - tensor.zero_point[0]) * np.float32(tensor.scale[0])
    expected, found = litert(path.read_bytes(), raw), execute(to_bytes(graph), optimisation="none")(feed)
    for index in file.outputs:
        tensor = file.tensors[index]
        steps = np.rint(found[tensor.name] / tensor.scale[0]) + tensor.zero_point[0] - expected[tensor.name]
        assert np.abs(steps).max() <= INTEGERS[name]


def test_pictures_stay_channels_first_between_their_operators(shared_data: Path) -> None:
    graph = optimise(load(shared_data / "models_coral" / "mobilenet_v2_1.0_224_quant.tflite").graph)
    assert sum(node.op == "Transpose" for node in graph.nodes) <= 2


def test_a_detector_keeps_its_boxes_and_scores_and_says_what_it_leaves_out(shared_data: Path) -> None:
    found = load(shared_data / "models_detection" / "coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite")
    assert [spec.shape for spec in found.graph.outputs] == [(1, 1917, 4), (1, 1917, 91)]
    assert "TFLite_Detection_PostProcess" in found.notes[0]
