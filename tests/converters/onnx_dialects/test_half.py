"""Half precision where it is safe, single where it could overflow, and a cast only where the two meet."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import from_model, to_bytes, to_model
from edgekit.converters.lower.half import LARGEST, SMALLEST_SCALE, _half, in_half
from edgekit.converters.lower.half_range import summary, unsafe
from edgekit.converters.lower.tensorrt import lower
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
RANDOM = np.random.default_rng(8)


def floats(*shape: int) -> NDArray[np.float32]:
    return RANDOM.normal(size=shape).astype(np.float32)


def checked(graph: Graph) -> Graph:
    """The graph, after ONNX has inferred every type and found them to agree."""
    model = to_model(graph)
    onnx.checker.check_model(model, full_check=True)
    return from_model(onnx.shape_inference.infer_shapes(model, strict_mode=True))


def calibrated(graph: Graph, size: float) -> Calibration:
    data = [{spec.name: floats(*spec.shape) * size for spec in graph.inputs} for _ in range(4)]
    return calibrate(graph, data, execute)


def kinds(graph: Graph, op: str) -> list[str]:
    """The type of the first output of every node of that operator."""
    return [graph.specs[node.output].dtype for node in graph.nodes if node.op == op]


@pytest.fixture
def block(build: Build) -> Graph:
    """What transformers and their heads are made of."""
    nodes = [
        ("MatMul", ["x", "w"], ["m"], {}),
        ("LayerNormalization", ["m", "s", "b"], ["n"], {}),
        ("Softmax", ["n"], ["p"], {"axis": -1}),
        ("Exp", ["n"], ["e"], {}),
        ("Add", ["p", "e"], ["a"], {}),
        ("ReduceMean", ["a"], ["y"], {"axes": [1], "keepdims": 0}),
    ]
    constants = {"w": floats(16, 16) * 4, "s": np.ones(16, np.float32), "b": floats(16)}
    return build(nodes, inputs={"x": (1, 8, 16)}, outputs=["y"], constants=constants)


def test_ranges_that_fit_leave_the_whole_graph_in_half(block: Graph) -> None:
    assert unsafe(block, calibrated(block, 0.3)) == {}
    half = checked(in_half(block))
    assert [node.op for node in half.nodes].count("Cast") == 2
    assert kinds(half, "LayerNormalization") == kinds(half, "Exp") == ["float16"]


def test_a_sum_of_squares_that_could_overflow_stays_single(block: Graph) -> None:
    reasons = unsafe(block, calibrated(block, 10.0))
    assert set(reasons) == {"n_node"}
    assert "inside" in reasons["n_node"]
    half = checked(in_half(block, full=reasons))
    assert (kinds(half, "LayerNormalization"), kinds(half, "Exp")) == (["float32"], ["float16"])
    assert [node.op for node in half.nodes].count("Cast") == 4


def test_a_tensor_that_leaves_the_range_keeps_its_maker_and_readers_single(block: Graph) -> None:
    reasons = unsafe(block, calibrated(block, 4000.0))
    assert {"m_node", "n_node"} <= set(reasons)
    assert "'m' reaches" in reasons["m_node"]
    half = checked(in_half(block, full=reasons))
    assert kinds(half, "MatMul") == ["float32"]
    feed = {"x": floats(1, 8, 16) * 4000}
    found, expected = execute(to_bytes(half))(feed)["y"], execute(to_bytes(block))(feed)["y"]
    assert np.allclose(found, expected, rtol=5e-3, atol=5e-3)


def test_without_calibration_what_sums_or_raises_stays_single(block: Graph) -> None:
    reasons = unsafe(block, None)
    assert set(reasons) == {"n_node", "e_node", "y_node"}
    said = summary(block, reasons)
    assert said.startswith("3 nodes compute in float32 (Exp 1, LayerNormalization 1, ReduceMean 1)")
    assert "nothing tells the range" in said
    assert summary(block, {}) == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [(1e-12, "would become 0"), (1e6, "is 1e\\+06"), (-1e6, "is 1e\\+06"), (1.0, ""), (-3.4e38, ""), (0.0, "")],
    ids=["epsilon", "large", "large and negative", "ordinary", "mask", "zero"],
)
def test_constants_that_half_cannot_hold_keep_their_reader_single(build: Build, value: float, said: str) -> None:
    graph = build([("Add", ["x", "k"], ["y"], {})], inputs={"x": (1, 4)}, outputs=["y"], constants={"k": np.float32(value)})
    reasons = unsafe(graph, None)
    assert bool(reasons) is bool(said)
    if said:
        assert re.search(said, reasons["y_node"])


def test_an_attention_mask_of_the_lowest_number_keeps_nothing_single(build: Build) -> None:
    nodes = [
        ("Greater", ["x", "zero"], ["seen"], {}),
        ("Where", ["seen", "zero", "lowest"], ["mask"], {}),
        ("Add", ["x", "mask"], ["m"], {}),
        ("Softmax", ["m"], ["y"], {"axis": -1}),
    ]
    constants = {"zero": np.float32(0), "lowest": np.finfo(np.float32).min}
    graph = build(nodes, inputs={"x": (2, 8)}, outputs=["y"], constants=constants)
    assert unsafe(graph, calibrated(graph, 1.0)) == {}
    feed = {"x": floats(2, 8)}
    found = execute(to_bytes(in_half(graph)))(feed)["y"]
    assert np.allclose(found, execute(to_bytes(graph))(feed)["y"], atol=2e-3)


def test_neighbours_in_single_precision_have_no_casts_between_them(build: Build) -> None:
    nodes = [("Relu", ["x"], ["a"], {}), ("Exp", ["a"], ["b"], {}), ("Exp", ["b"], ["c"], {}), ("Relu", ["c"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 4)}, outputs=["y"])
    half = checked(in_half(graph, full={"b_node", "c_node"}))
    assert [node.op for node in half.nodes] == ["Cast", "Relu", "Cast", "Exp", "Exp", "Cast", "Relu", "Cast"]


def test_a_tensor_read_by_both_kinds_is_cast_once(build: Build) -> None:
    nodes = [("Relu", ["x"], ["a"], {}), *((op, ["a"], [op], {}) for op in ("Exp", "Neg", "Abs"))]
    graph = build(nodes, inputs={"x": (1, 4)}, outputs=["Exp", "Neg", "Abs"])
    half = checked(in_half(graph, full={"Neg_node", "Abs_node"}))
    assert sum(node.op == "Cast" and node.inputs[0] == "a" for node in half.nodes) == 1


def test_an_output_may_be_read_inside_and_names_like_ours_do_not_collide(build: Build) -> None:
    nodes = [("Relu", ["x"], ["x/half"], {}), ("Neg", ["x/half"], ["y"], {}), ("Abs", ["y"], ["y/half"], {})]
    graph = build(nodes, inputs={"x": (1, 4)}, outputs=["y", "y/half", "x/half"])
    half = checked(in_half(graph))
    feed = {"x": floats(1, 4)}
    found, expected = execute(to_bytes(half))(feed), execute(to_bytes(graph))(feed)
    assert list(found) == ["y", "y/half", "x/half"]
    assert all(np.allclose(found[name], expected[name], atol=2e-3) for name in expected)
    assert all(found[name].dtype == np.float32 for name in expected)


def test_an_output_in_single_precision_needs_no_cast(build: Build) -> None:
    graph = build([("Exp", ["x"], ["y"], {})], inputs={"x": (1, 4)}, outputs=["y"])
    assert [node.op for node in checked(in_half(graph, full={"y_node"})).nodes] == ["Exp"]


@given(st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=8))
@settings(deadline=None)
def test_a_scale_in_half_precision_is_never_too_small(values: list[float]) -> None:
    scales = np.array(values, np.float32)
    half = _half(scales, scale=True).astype(np.float64)
    assert np.all(half >= scales)
    assert np.all(half <= np.maximum(scales * 1.001, SMALLEST_SCALE) + 2.0**-24)


def test_constants_beyond_the_range_saturate() -> None:
    assert _half(np.array([1e9, -np.inf], np.float32), scale=False).tolist() == [LARGEST, -LARGEST]


def test_int8_under_strong_typing_reads_the_input_in_single_and_computes_in_half(build: Build) -> None:
    constants = {"w": floats(16, 16, 3, 3) / 12, "b": floats(16)}
    graph = build([("Conv", ["x", "w", "b"], ["y"], {})], inputs={"x": (1, 16, 8, 8)}, outputs=["y"], constants=constants)
    calibration = calibrated(graph, 1.0)
    quantization = assign(graph, calibration, scheme="tensorrt")
    lowered = lower(graph, precision="int8", version="11.4", quantization=quantization, calibration=calibration)
    found = checked(from_model(onnx.load_model_from_string(lowered.files["model.onnx"])))
    forth = next(node for node in found.nodes if node.op == "QuantizeLinear" and node.inputs[0] == "x")
    back = found.consumers[forth.output][0]
    scales = [found.constants[node.inputs[1]] for node in (forth, back)]
    assert [scale.dtype.name for scale in scales] == ["float32", "float16"]
    assert float(scales[0]) == float(scales[1])
    assert [node.op for node in found.nodes].count("Cast") == 1
    assert kinds(found, "Conv") == ["float16"]


def any_chain(ops: Any) -> Any:
    return st.lists(st.sampled_from(ops), min_size=1, max_size=7)


@given(ops=any_chain(["Relu", "Exp", "Neg", "Abs", "Sigmoid", "Tanh"]), data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_choice_of_nodes_gives_a_valid_graph_with_the_same_numbers(build: Build, ops: list[str], data: Any) -> None:
    names = ["x", *(f"t{index}" for index in range(len(ops)))]
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        (op, [names[index]], [names[index + 1]], {}) for index, op in enumerate(ops)
    ]
    outputs = sorted({names[-1], data.draw(st.sampled_from(names[1:]))})
    graph = build([("Tanh", ["raw"], ["x"], {}), *nodes], inputs={"raw": (2, 3)}, outputs=outputs)
    full = data.draw(st.sets(st.sampled_from([node.name for node in graph.nodes])))
    half = checked(in_half(graph, full=full))
    feed = {"raw": floats(2, 3)}
    found, expected = execute(to_bytes(half))(feed), execute(to_bytes(graph))(feed)
    for name in outputs:
        fine = np.abs(expected[name]) < 1e3
        assert np.allclose(found[name][fine], expected[name][fine], rtol=0.05, atol=0.01)
