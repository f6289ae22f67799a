"""What an operator does is counted alike in both formats, and what engines fuse is not counted twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.calibration.models import MODELS, WIDTHS, build
from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.converters.lower import tflite
from edgekit.converters.optimise import optimise
from edgekit.converters.tflite_file import read as tflite_file
from edgekit.prediction import Work, of_graph, of_tflite
from edgekit.prediction.work import FACE, HEAVY, VIEW


def both(tmp_path: Path, data: bytes) -> tuple[tuple[Work, ...], tuple[Work, ...]]:
    (tmp_path / "model.onnx").write_bytes(data)
    graph = optimise(onnx_file.load(tmp_path / "model.onnx").graph)
    lowered = tflite.lower(tflite.legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
    file = next(lowered.files[name] for name, role in lowered.roles.items() if role == "model")
    return of_graph(graph), of_tflite(tflite_file.parse(file))


def products(works: tuple[Work, ...]) -> Counter[str]:
    found: Counter[str] = Counter()
    for work in works:
        if work.kind in HEAVY:
            found[work.kind] += work.macs
    return found


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"shuffle"}))
def test_both_formats_of_a_calibration_model_multiply_alike(tmp_path: Path, name: str) -> None:
    graph, file = both(tmp_path, build(name, 1.0))
    assert products(graph) == products(file)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_calibration_model_is_valid_in_every_width(name: str) -> None:
    for width in WIDTHS:
        onnx.checker.check_model(onnx.load_from_string(build(name, width)), full_check=True)


def test_calibration_models_are_the_same_for_everybody() -> None:
    assert build("tiny", 1.0) == build("tiny", 1.0)


def test_every_kind_of_work_occurs_in_two_calibration_models_at_least(tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    for name in MODELS:
        (tmp_path / "model.onnx").write_bytes(build(name, 0.5))
        found.update({work.kind for work in of_graph(optimise(onnx_file.load(tmp_path / "model.onnx").graph))})
    assert {kind for kind, count in found.items() if count < 2} <= {VIEW}
    assert {"conv", "pointwise", "depthwise", "dense", "elementwise", "function", "copy", "reduce", "pool", FACE} <= set(found)


def test_a_clamp_and_quantization_around_an_integer_operator_are_no_work_of_their_own(tmp_path: Path) -> None:
    weights = [
        numpy_helper.from_array(np.ones((4, 3, 1, 1), np.int8), "w"),
        numpy_helper.from_array(np.float32(0.1), "s"),
        numpy_helper.from_array(np.int8(0), "z"),
        numpy_helper.from_array(np.uint8(0), "u"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "u"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "u"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "u"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "s", "u"], ["rd"]),
        helper.make_node("Tanh", ["rd"], ["y"]),
    ]
    value = lambda name, channels: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, channels, 8, 8))  # noqa: E731
    graph = helper.make_graph(nodes, "g", [value("x", 3)], [value("y", 4)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "m.onnx")
    works = of_graph(onnx_file.load(tmp_path / "m.onnx").graph)
    assert Counter(work.kind for work in works) == {FACE: 1, "pointwise": 1, "copy": 1, "function": 1}
    conv = next(work for work in works if work.kind == "pointwise")
    assert (conv.macs, conv.reads, conv.writes, conv.weights) == (64 * 12, 64 * 3, 64 * 4, 12)
