"""ONNX files that are quantized already: their own integers come back in every engine, within a step of what ONNX Runtime answers."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgekit
from edgekit.artifact import Artifact
from edgekit.core.errors import InputError, Unsupported

STEPS = 1.01
"""ONNX Runtime and LiteRT round sums of products each in its own way, and XNNPACK in a third."""
FORMATS = ("QDQ", "QOperator")
ZOO = ("tv_mobilenet_v2", "tv_resnet18", "tv_mobilenet_v3_small")


class Noise:
    """Seeded samples, as onnxruntime's quantizer reads them."""

    def __init__(self, path: Path, count: int = 3) -> None:
        graph = onnx.load(path).graph
        constants = {tensor.name for tensor in graph.initializer}
        value = next(value for value in graph.input if value.name not in constants)
        shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        rng = np.random.default_rng(0)
        self._left: Iterator[Mapping[str, Any]] = iter(
            [{value.name: rng.normal(size=shape).astype(np.float32)} for _ in range(count)]
        )

    def get_next(self) -> Mapping[str, Any] | None:
        return next(self._left, None)


def quantized(path: Path, form: str, *, activations: str = "QInt8", weights: str = "QInt8", per_channel: bool = True) -> Path:
    """The file as onnxruntime's quantize_static writes it."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    made = path.with_name(f"{path.stem}.{form}.{activations}.onnx")
    logging.disable(logging.WARNING)  # it advises, once for every call, to prepare models that need nothing
    try:
        quantize_static(
            path,
            made,
            Noise(path),
            quant_format=QuantFormat[form],
            activation_type=QuantType[activations],
            weight_type=QuantType[weights],
            per_channel=per_channel,
            extra_options={"ActivationSymmetric": activations == "QInt16"},
        )
    finally:
        logging.disable(logging.NOTSET)
    return made


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Convolutions plain and depthwise, a shortcut, pools, a product."""
    rng = np.random.default_rng(0)
    sizes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "b2": (8,), "w3": (8, 8, 1, 1), "w4": (10, 8), "b4": (10,)}
    constants: dict[str, Any] = {name: (rng.normal(size=size) * 0.3).astype(np.float32) for name, size in sizes.items()}
    constants |= {"zero": np.float32(0), "six": np.float32(6)}
    nodes: Sequence[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Conv", ["x", "w1", "b1"], "c1", {"pads": [1] * 4, "strides": [2, 2]}),
        ("Relu", ["c1"], "r1", {}),
        ("Conv", ["r1", "w2", "b2"], "c2", {"pads": [1] * 4, "group": 8}),
        ("Clip", ["c2", "zero", "six"], "r2", {}),
        ("Conv", ["r2", "w3"], "c3", {}),
        ("Add", ["c3", "r1"], "a", {}),
        ("MaxPool", ["a"], "m", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("GlobalAveragePool", ["m"], "g", {}),
        ("Flatten", ["g"], "f", {}),
        ("Gemm", ["f", "w4", "b4"], "y", {"transB": 1}),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, reads, [made], name=made, **attributes) for op, reads, made, attributes in nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 10))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path = tmp_path / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def furthest(path: Path, found: Artifact) -> float:
    """The largest difference between the artifact in its engine and ONNX Runtime on the file, in steps of the output's grid."""
    scale = found.manifest.outputs[0].engine.scale
    assert scale is not None
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    rng, worst = np.random.default_rng(7), 0.0
    with edgekit.load(found.path) as engine:
        for _ in range(3):
            feed = {spec.name: rng.normal(size=spec.shape).astype(np.float32) for spec in engine.inputs}
            expected = session.run(None, feed)[0]
            worst = max(worst, float(np.abs(engine.run(feed)[engine.outputs[0].name] - expected).max()) / scale)
    return worst


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("activations", "weights", "per_channel"),
    [("QInt8", "QInt8", True), ("QUInt8", "QInt8", True), ("QUInt8", "QInt8", False), ("QUInt8", "QUInt8", False)],
)
def test_integers_stay_the_files_own_without_any_data(
    form: str, activations: str, weights: str, per_channel: bool, network: Path, tmp_path: Path
) -> None:
    path = quantized(network, form, activations=activations, weights=weights, per_channel=per_channel)
    found = edgekit.convert(path, target="rpi5", precision="int8", output=tmp_path / "out")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    engine, shift = found.manifest.inputs[0].engine, 128 if activations == "QUInt8" else 0
    assert (engine.scale, engine.zero_point) == (float(stored["x_scale"]), int(stored["x_zero_point"]) - shift)
    assert found.manifest.float_layers == ()
    # weights of uint8 reach further than the 127 steps of TFLite's on one side of their zero, and are rounded once more
    assert furthest(path, found) < STEPS + (weights == "QUInt8")


@pytest.mark.parametrize("target", ["coral", "jetson-orin-nano", "cpu"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_board_takes_them_in_its_own_form(target: str, form: str, network: Path, tmp_path: Path) -> None:
    path = quantized(network, form)
    found = edgekit.convert(path, target=target, precision="int8", output=tmp_path / "out")
    assert found.manifest.parity is not None
    # TensorRT's grids are symmetric: what the file's own cut off at one end is not cut off there
    assert found.manifest.parity.value > (10 if target.startswith("jetson") else 30)
    if target == "coral":
        assert furthest(path, found) < STEPS
        return
    ops = [node.op_type for node in onnx.load(next(found.path.glob("*.onnx"))).graph.node]
    assert "QuantizeLinear" in ops
    assert not any(op.startswith("QLinear") for op in ops)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("form", FORMATS)
def test_published_networks_answer_within_a_step(name: str, form: str, shared_data: Path, tmp_path: Path) -> None:
    zoo = shared_data.parent / "zoo"
    spec = importlib.util.spec_from_file_location("fill", zoo / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    filler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(filler)
    plain = tmp_path / f"{name}.onnx"
    onnx.save(filler.fill(str(zoo / plain.name)), plain)
    path = quantized(plain, form, activations="QUInt8" if form == "QDQ" else "QInt8")
    found = edgekit.convert(path, target="rpi5", precision="int8", output=tmp_path / "out")
    assert not any("Conv" in layer for layer in found.manifest.float_layers)
    assert furthest(path, found) < STEPS


def in_part(network: Path) -> Path:
    """The network quantized but for its shortcut and the pool behind it."""
    from onnxruntime.quantization import QuantFormat, quantize_static

    made = network.with_name("part.onnx")
    quantize_static(network, made, Noise(network), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv", "Gemm"])
    return made


def test_what_the_source_computes_in_float_stays_so_and_is_named(network: Path, tmp_path: Path) -> None:
    path = in_part(network)
    found = edgekit.convert(path, target="rpi5", precision="int8", output=tmp_path / "out")
    assert {"a", "m", "g"} <= set(found.manifest.float_layers)
    assert not {"c1", "c2", "c3"} & set(found.manifest.float_layers)
    assert any("not quantized in the source and stay in float: --calibration" in note for note in found.manifest.notes)
    assert furthest(path, found) < STEPS


def test_data_give_integers_to_what_had_none_and_leave_the_others_their_own(network: Path, tmp_path: Path) -> None:
    path = in_part(network)
    rng = np.random.default_rng(1)
    samples = [{"x": rng.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(4)]
    with pytest.raises(Unsupported, match="stays on the CPU") as caught:
        edgekit.convert(path, target="coral", precision="int8", output=tmp_path / "none")
    assert "--calibration DATA gives them integers, too" in caught.value.hint
    found = edgekit.convert(path, target="coral", precision="int8", output=tmp_path / "out", calibration=samples)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    assert found.manifest.inputs[0].engine.scale == float(stored["x_scale"])
    assert found.manifest.float_layers == ()


def test_activations_of_sixteen_bits_keep_their_scales_where_the_engine_has_such(network: Path, tmp_path: Path) -> None:
    path = quantized(network, "QDQ", activations="QInt16")
    found = edgekit.convert(path, target="rpi5", precision="int16x8", output=tmp_path / "wide")
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    engine = found.manifest.inputs[0].engine
    assert (engine.dtype, engine.scale, engine.zero_point) == ("int16", float(stored["x_scale"]), 0)
    assert found.manifest.parity is not None
    assert found.manifest.parity.value > 60
    narrow = edgekit.convert(path, target="rpi5", precision="int8", output=tmp_path / "narrow")
    assert narrow.manifest.inputs[0].engine.dtype == "int8"


def test_a_file_of_dynamic_quantization_goes_on_as_floats_and_is_judged_by_noise(network: Path, tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    path = network.with_name("dynamic.onnx")
    quantize_dynamic(network, path)
    found = edgekit.convert(path, target="rpi5", precision="fp32", output=tmp_path / "out")
    assert found.manifest.parity is not None
    assert found.manifest.parity.metric == "sqnr_db"
    assert any("quantize their input while they run" in note for note in found.manifest.notes)
    with pytest.raises(InputError, match="int8 needs calibration data"):
        edgekit.convert(path, target="rpi5", precision="int8", output=tmp_path / "out8")


def odd(path: Path, kind: int, *, at_the_end: bool = False, channels: bool = False) -> Path:
    """A product whose input is quantized as TFLite has no words for."""
    size = 4 if channels else 1
    shape: tuple[int, ...] = (4,) if channels else ()
    nodes = [
        *([] if at_the_end else [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="forth")]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["f"], name="back"),
        helper.make_node("MatMul", ["f", "w"], ["y"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("q" if at_the_end else "x", kind if at_the_end else TensorProto.FLOAT, (2, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3))],
        [
            helper.make_tensor("s", TensorProto.FLOAT, shape, [0.1] * size),
            helper.make_tensor("z", kind, shape, [0] * size),
            numpy_helper.from_array(np.ones((4, 3), np.float32), "w"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


@pytest.mark.parametrize(
    ("kind", "options", "reason", "remedy"),
    [
        (TensorProto.INT4, {}, "op QuantizeLinear at 'forth' has activations of int4", "per tensor to int8 or uint8"),
        (TensorProto.FLOAT8E4M3FN, {}, "has activations of float8_e4m3fn", "per tensor to int8 or uint8"),
        (TensorProto.INT8, {"channels": True}, "has a scale for each of 4 channels of an activation", "per tensor"),
        (TensorProto.UINT8, {"at_the_end": True}, "takes or gives uint8 itself: 'q'", "inputs and outputs in float"),
    ],
)
def test_what_integers_of_tflite_cannot_say_is_named(kind: int, options: Any, reason: str, remedy: str, tmp_path: Path) -> None:
    path = odd(tmp_path / "odd.onnx", kind, **options)
    with pytest.raises(Unsupported, match=reason) as caught:
        edgekit.convert(path, target="rpi5", precision="fp32", output=tmp_path / "out")
    assert remedy in caught.value.hint
    assert not list((tmp_path / "out").glob("*"))
