"""Operators on integers are read as what they compute on reals, and give the same integers again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.importers.onnx.integers import with_integers_unfolded
from edgekit.core.errors import Unsupported
from edgekit.runtimes.onnxruntime import execute

MICROSOFT = "com.microsoft"
A, B, Y = ("a", "a_s", "a_z"), ("b", "b_s", "b_z"), ("y_s", "y_z")
SHAPE = (1, 4, 6, 6)
FORMS: Mapping[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "QLinearConv": ("", (*A, "w", "w_s", "w_z", *Y, "bias"), {"pads": [1, 1, 1, 1]}),
    "QLinearMatMul": ("", (*A, "m", "m_s", "m_z", *Y), {}),
    "QLinearAdd": (MICROSOFT, (*A, *B, *Y), {}),
    "QLinearMul": (MICROSOFT, (*A, *B, *Y), {}),
    "QLinearConcat": (MICROSOFT, (*Y, *A, *B), {"axis": 1}),
    "QLinearLeakyRelu": (MICROSOFT, (*A, *Y), {"alpha": 0.125}),
    "QLinearSigmoid": (MICROSOFT, (*A, *Y), {}),
    "QLinearSoftmax": (MICROSOFT, (*A, *Y), {"axis": -1, "opset": 17}),
    "QLinearAveragePool": (MICROSOFT, (*A, *Y), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "QLinearGlobalAveragePool": (MICROSOFT, (*A, *Y), {}),
    "QLinearWhere": (MICROSOFT, ("c", *A, *B, *Y), {}),
}


def model_of(op: str, *, seed: int, kind: type, **changed: Any) -> onnx.ModelProto:
    """Floats, quantized, through `op`, and back."""
    rng = np.random.default_rng(seed)
    domain, reads, attributes = FORMS[op]
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    constants: dict[str, Any] = {f"{t}_z": kind(rng.integers(low + 100, high - 100)) for t in ("a", "b", "y")}
    constants |= {f"{t}_s": np.float32(rng.uniform(0.01, 0.04)) for t in ("a", "b", "y")}
    constants |= {
        "w": rng.integers(-127, 128, (5, 4, 3, 3)).astype(np.int8), "w_z": np.zeros(5, np.int8),
        "w_s": rng.uniform(0.001, 0.004, 5).astype(np.float32), "bias": rng.integers(-1000, 1000, 5).astype(np.int32),
        "m": rng.integers(-127, 128, (6, 3)).astype(np.int8), "m_z": np.int8(0), "m_s": np.float32(0.005),
        "c": rng.random(SHAPE) < 0.5,
    }  # fmt: skip
    nodes = [
        *(helper.make_node("QuantizeLinear", [f"{t}_f", f"{t}_s", f"{t}_z"], [t], name=f"{t}_q") for t in ("a", "b")),
        helper.make_node(op, reads, ["q"], name="op", domain=domain, **{**attributes, **changed}),
        helper.make_node("DequantizeLinear", ["q", *Y], ["y"], name="dq"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(f"{t}_f", TensorProto.FLOAT, SHAPE) for t in ("a", "b")],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in {*reads, *A, *B, *Y}],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)], ir_version=8
    )


def answer(model: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> np.ndarray:
    """What ONNX Runtime makes of it, node by node."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, dict(feed))[0]
    return found


@pytest.mark.parametrize("op", FORMS)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from([np.int8, np.uint8]))
def test_every_operator_on_integers_gives_them_within_one_step(op: str, seed: int, kind: type) -> None:
    model = model_of(op, seed=seed, kind=kind)
    rng = np.random.default_rng(seed)
    feed = {f"{t}_f": rng.normal(0, 1, SHAPE).astype(np.float32) for t in ("a", "b")}
    plain = with_integers_unfolded(model)
    assert {node.domain for node in plain.graph.node} == {""}
    assert not any(node.op_type.startswith("QLinear") for node in plain.graph.node)
    scale = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "y_s")
    steps = np.abs(answer(plain, feed) - answer(model, feed)) / scale
    assert steps.max() < 1.01


def test_a_model_without_such_operators_is_the_same_object() -> None:
    model = with_integers_unfolded(model_of("QLinearConv", seed=0, kind=np.int8))
    assert with_integers_unfolded(model) is model


def test_a_softmax_of_another_operator_set_is_named() -> None:
    with pytest.raises(Unsupported, match="QLinearSoftmax at 'op' is of operator set 11 in a model of 17"):
        with_integers_unfolded(model_of("QLinearSoftmax", seed=0, kind=np.int8, opset=11))


def test_channels_that_come_last_are_named() -> None:
    with pytest.raises(Unsupported, match="QLinearAveragePool at 'op' has its channels last"):
        with_integers_unfolded(model_of("QLinearAveragePool", seed=0, kind=np.int8, channels_last=1))


def test_computed_scales_of_a_biased_product_are_named() -> None:
    model = model_of("QLinearConv", seed=0, kind=np.int8)
    model.graph.node.insert(0, helper.make_node("Abs", ["a_s"], ["a_s2"], name="abs"))
    model.graph.node[3].input[1] = "a_s2"
    with pytest.raises(Unsupported, match="QLinearConv at 'op' computes its scale 'a_s2'"):
        with_integers_unfolded(model)


def dynamic_model(*, bias: bool = True) -> onnx.ModelProto:
    """A product as quantize_dynamic writes it."""
    rng = np.random.default_rng(1)
    constants = {
        "w": rng.integers(0, 256, (8, 3)).astype(np.uint8), "w_z": np.uint8(120), "w_s": np.float32(0.01),
        "b": rng.normal(size=3).astype(np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="measure"),
        helper.make_node("MatMulInteger", ["q", "w", "z", "w_z"], ["sums"], name="product"),
        helper.make_node("Cast", ["sums"], ["reals"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "w_s"], ["both"], name="scales"),
        helper.make_node("Mul", ["reals", "both"], ["m"], name="scaled"),
        helper.make_node("Add", ["m", "b"], ["y"], name="add"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_product_that_quantizes_while_it_runs_is_read_as_one_of_floats(tmp_path: Path) -> None:
    path = tmp_path / "dynamic.onnx"
    onnx.save(dynamic_model(), path)
    found = load(path)
    assert [node.op for node in found.graph.nodes] == ["DequantizeLinear", "MatMul", "Add"]
    assert found.notes == (
        "1 products quantize their input while they run; they are read as products of floats with the file's own weights",
    )
    feed = {"x": np.random.default_rng(2).normal(size=(2, 8)).astype(np.float32)}
    difference = execute(to_bytes(found.graph))(feed)["y"] - answer(dynamic_model(), feed)
    assert 0 < np.abs(difference).max() < 0.05


def test_sums_of_integers_that_are_used_otherwise_stay(tmp_path: Path) -> None:
    model = dynamic_model()
    model.graph.node[4].input[1] = "w_s"  # not times the input's scale
    path = tmp_path / "dynamic.onnx"
    onnx.save(model, path)
    assert "MatMulInteger" in {node.op for node in load(path).graph.nodes}
