"""A graph that comes quantized is taken apart without losing what it knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.parameters import Quantization, QuantParams, quantize
from edgekit.converters.quantize.recorded.gaps import gaps, joined
from edgekit.converters.quantize.recorded.grids import in_scheme
from edgekit.converters.quantize.recorded.undress import undress, with_ranges
from edgekit.converters.quantize.recorded.weights import on_own_grids
from edgekit.converters.quantize.rules.schemes import DIALECTS
from edgekit.runtimes.onnxruntime import execute

rng = np.random.default_rng(5)


def dressed(build: Any, *, zero: int = 0, scale: float = 6 / 255, dtype: type = np.uint8, op: str = "Conv") -> Graph:
    """Q/DQ on the input, a convolution of integer weights per channel, Q/DQ on its output."""
    weight = rng.integers(-127, 128, (2, 3, 1, 1)).astype(np.int8)
    constants = {
        "in_s": np.float32(0.02), "in_z": np.uint8(10), "w": weight, "w_s": np.array([0.01, 0.5], np.float32),
        "w_z": np.zeros(2, np.int8), "out_s": np.float32(scale), "out_z": dtype(zero),
    }  # fmt: skip
    nodes = [
        ("QuantizeLinear", ["x", "in_s", "in_z"], ["x_q"], {}),
        ("DequantizeLinear", ["x_q", "in_s", "in_z"], ["x_f"], {}),
        ("DequantizeLinear", ["w", "w_s", "w_z"], ["w_f"], {"axis": 0}),
        ("Conv", ["x_f", "w_f"], ["c"], {}),
        ("QuantizeLinear", ["c", "out_s", "out_z"], ["c_q"], {}),
        ("DequantizeLinear", ["c_q", "out_s", "out_z"], ["y"], {}),
    ]
    graph: Graph = build(nodes, inputs={"x": (1, 3, 4, 4)}, outputs=["y"], constants=constants)
    return graph


def test_the_pairs_are_gone_and_their_ranges_are_known(build: Any) -> None:
    found = undress(dressed(build))
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op for node in found.graph.nodes}
    assert (found.ranges["x"].low, found.ranges["x"].high) == (pytest.approx(-0.2), pytest.approx(4.9))
    assert (found.ranges["y"].low, found.ranges["y"].high) == (0.0, pytest.approx(6.0))
    assert [spec.name for spec in found.graph.outputs] == ["y"]


def test_a_grid_from_zero_to_six_becomes_the_clamp_it_stands_for(build: Any) -> None:
    graph = dressed(build)
    feed = {"x": rng.random((1, 3, 4, 4), np.float32) * 4}
    bare = undress(graph).graph
    assert [node.op for node in bare.nodes] == ["Conv", "Clip"]
    expected, found = execute(to_bytes(graph))(feed)["y"], execute(to_bytes(bare))(feed)["y"]
    assert np.abs(found - expected).max() < 6 / 255 + 0.02 * 127 * 0.51 * 3


@pytest.mark.parametrize(("zero", "scale", "ops"), [(0, 0.1, ["Conv", "Relu"]), (90, 0.1, ["Conv", "Identity"])])
def test_other_grids_become_a_relu_or_nothing(zero: int, scale: float, ops: list[str], build: Any) -> None:
    assert [node.op for node in undress(dressed(build, zero=zero, scale=scale)).graph.nodes] == ops


def test_a_pair_whose_two_grids_differ_stays(build: Any) -> None:
    nodes = [
        ("QuantizeLinear", ["x", "s1", "z"], ["q"], {}),
        ("DequantizeLinear", ["q", "s2", "z"], ["y"], {}),
    ]
    graph = build(
        nodes, inputs={"x": (4,)}, outputs=["y"], constants={"s1": np.float32(1), "s2": np.float32(2), "z": np.int8(0)}
    )
    assert [node.op for node in undress(graph).graph.nodes] == ["QuantizeLinear", "DequantizeLinear"]


def test_a_float_graph_is_left_alone(build: Any) -> None:
    graph = build([("Relu", ["x"], ["y"], {})], inputs={"x": (1, 4)}, outputs=["y"])
    found = undress(graph)
    assert to_bytes(found.graph) == to_bytes(graph)
    assert not found.ranges


def test_recorded_ranges_give_the_recorded_scales_again(build: Any) -> None:
    bare = undress(dressed(build, zero=90, scale=0.1))
    calibration = calibrate(bare.graph, [{"x": rng.random((1, 3, 4, 4), np.float32)}], execute)
    found = assign(bare.graph, with_ranges(calibration, bare.ranges), scheme="tflite")
    assert float(found.activations["x"].scale[0]) == pytest.approx(0.02, rel=1e-5)
    assert float(found.activations["y"].scale[0]) == pytest.approx(0.1, rel=1e-5)
    assert int(found.activations["y"].zero_point[0]) == 90 - 128


@given(st.integers(1, 127), st.floats(1e-6, 1e3), st.integers(0, 2**32 - 1))
def test_weights_that_were_integers_are_the_same_integers_again(reach: int, step: float, seed: int) -> None:
    whole = np.random.default_rng(seed).integers(-reach, reach + 1, (3, 40))
    whole[:, 0] = reach
    real = (whole * np.float64(step)).astype(np.float32)
    coarse = QuantParams(
        scale=np.full(3, reach * step / 127, np.float32), zero_point=np.zeros(3, np.int32), dtype="int8", axis=0
    )
    graph = Graph(name="g", opset=17, inputs=(), outputs=(), nodes=(), constants={"w": real}, specs={})
    found = on_own_grids(graph, Quantization(activations={}, weights={"w": coarse})).weights["w"]
    again = quantize(real, found) * found.scale[:, None]
    np.testing.assert_allclose(again, real, rtol=1e-5, atol=step * 1e-4)


def pair(name: str, grid: str, made: str) -> list[tuple[str, list[str], list[str], dict[str, Any]]]:
    """Q and DQ of `name` on the constants `grid`_s and `grid`_z."""
    return [
        ("QuantizeLinear", [name, f"{grid}_s", f"{grid}_z"], [f"{made}_q"], {}),
        ("DequantizeLinear", [f"{made}_q", f"{grid}_s", f"{grid}_z"], [made], {}),
    ]


def test_integers_that_are_moved_are_reals_that_are_moved(build: Any) -> None:
    nodes = [
        ("QuantizeLinear", ["x", "g_s", "g_z"], ["q"], {}),
        ("Pad", ["q", "pads"], ["padded"], {}),
        ("Clip", ["padded", "low", "high"], ["cut"], {}),
        ("MaxPool", ["cut"], ["pooled"], {"kernel_shape": [2, 2]}),
        ("Flatten", ["pooled"], ["flat"], {}),
        ("DequantizeLinear", ["flat", "g_s", "g_z"], ["y"], {}),
    ]
    constants = {
        "g_s": np.float32(0.02), "g_z": np.uint8(30), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "low": np.uint8(10), "high": np.uint8(60),
    }  # fmt: skip
    graph = build(nodes, inputs={"x": (1, 2, 4, 4)}, outputs=["y"], constants=constants)
    found = undress(graph)
    assert [node.op for node in found.graph.nodes] == ["Pad", "Clip", "MaxPool", "Flatten", "Identity"]
    feed = {"x": (np.random.default_rng(0).integers(-30, 226, (1, 2, 4, 4)) * np.float32(0.02)).astype(np.float32)}
    np.testing.assert_allclose(execute(to_bytes(found.graph))(feed)["y"], execute(to_bytes(graph))(feed)["y"], atol=1e-6)


def test_float_weights_behind_a_pair_are_rounded_to_their_channels_grid(build: Any) -> None:
    weight = rng.normal(size=(2, 3, 1, 1)).astype(np.float32)
    nodes = [
        ("QuantizeLinear", ["w", "s", "z"], ["q"], {"axis": 0}),
        ("DequantizeLinear", ["q", "s", "z"], ["f"], {"axis": 0}),
        ("Conv", ["x", "f"], ["y"], {}),
    ]
    constants = {"w": weight, "s": np.array([0.01, 0.5], np.float32), "z": np.zeros(2, np.int8)}
    found = undress(build(nodes, inputs={"x": (1, 3, 2, 2)}, outputs=["y"], constants=constants)).graph
    assert [node.op for node in found.nodes] == ["Conv"]
    scale = np.array([0.01, 0.5], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(found.constants["f"], np.clip(np.rint(weight / scale), -128, 127) * scale, rtol=1e-6)


@pytest.mark.parametrize(("kind", "zero"), [(onnx.TensorProto.INT4, 0), (onnx.TensorProto.UINT4, 8)])
def test_weights_of_four_bits_in_blocks_are_the_reals_they_stand_for(kind: int, zero: int, tmp_path: Path) -> None:
    whole = np.random.default_rng(3).integers(0, 16, (8, 5)) - (0 if zero else 8)
    scale = np.random.default_rng(4).uniform(0.1, 1, (2, 5)).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("DequantizeLinear", ["w", "s", "z"], ["f"], axis=0, block_size=4),
                helper.make_node("MatMul", ["x", "f"], ["y"]),
            ],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 8))],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 5))],
            [
                helper.make_tensor("w", kind, (8, 5), whole.flatten().tolist()),
                numpy_helper.from_array(scale, "s"),
                helper.make_tensor("z", kind, (2, 5), [zero] * 10),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "blocks.onnx")
    found = undress(load(tmp_path / "blocks.onnx").graph)
    np.testing.assert_allclose(found.graph.constants["f"], (whole - zero) * np.repeat(scale, 4, axis=0), rtol=1e-6)
    assert not found.grids


def test_of_two_grids_on_one_tensor_the_wider_is_kept(build: Any) -> None:
    nodes = [*pair("x", "fine", "a"), *pair("x", "wide", "b"), ("Add", ["a", "b"], ["y"], {})]
    constants = {"fine_s": np.float32(0.01), "fine_z": np.int8(0), "wide_s": np.float32(0.04), "wide_z": np.int8(0)}
    found = undress(build(nodes, inputs={"x": (4,)}, outputs=["y"], constants=constants))
    assert float(found.grids["x"].scale[0]) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("dtype", "zero", "scheme", "expected"),
    [
        ("uint8", 130, "tflite", ("int8", 2)),
        ("int8", -7, "ort-x86", ("uint8", 121)),
        ("uint8", 128, "tensorrt", ("int8", 0)),
        ("uint8", 130, "tensorrt", None),
        ("uint16", 2**15, "tflite-16x8", ("int16", 0)),
        ("int8", 0, "tflite-16x8", None),
    ],
)
def test_a_grid_is_said_in_an_engines_own_integers_or_not_at_all(
    dtype: Any, zero: int, scheme: Any, expected: tuple[str, int] | None
) -> None:
    params = QuantParams(scale=np.array([0.3], np.float32), zero_point=np.array([zero], np.int32), dtype=dtype)
    found = in_scheme(params, DIALECTS[scheme].activations)
    assert (found and (found.dtype, int(found.zero_point[0]))) == expected
    assert found is None or found.scale == params.scale


@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 10))
def test_a_channel_that_reaches_128_steps_keeps_its_step(seed: int, step: float) -> None:
    whole = np.random.default_rng(seed).integers(-126, 127, (1, 64))
    whole[0, 0] = -128
    whole[0, 1] = 3  # odd: no coarser step
    real = (whole * np.float64(step)).astype(np.float32)
    coarse = QuantParams(scale=np.array([step], np.float32) * 2, zero_point=np.zeros(1, np.int32), dtype="int8")
    graph = Graph(name="g", opset=17, inputs=(), outputs=(), nodes=(), constants={"w": real}, specs={})
    found = on_own_grids(graph, Quantization(activations={}, weights={"w": coarse})).weights["w"]
    assert float(found.scale[0]) == pytest.approx(step, rel=1e-5)


def test_what_has_no_grid_stays_in_float_and_what_shares_one_does_not(build: Any) -> None:
    nodes = [
        *pair("x", "g", "a"), ("Conv", ["a", "w"], ["c"], {}), ("Relu", ["c"], ["r"], {}), *pair("r", "g", "b"),
        ("MaxPool", ["b"], ["p"], {"kernel_shape": [2, 2]}), *pair("p", "g", "d"), ("HardSwish", ["d"], ["h"], {}),
        ("Add", ["h", "d"], ["s"], {}), *pair("s", "g", "y"),
    ]  # fmt: skip
    constants = {"g_s": np.float32(0.1), "g_z": np.int8(0), "w": rng.normal(size=(2, 2, 1, 1)).astype(np.float32)}
    found = undress(build(nodes, inputs={"x": (1, 2, 4, 4)}, outputs=["y"], constants=constants))
    graph = found.graph
    floats = gaps(graph, graph.specs, found.grids, heavy_inputs_only=False)
    assert {node.op for node in graph.nodes if node.name in floats} == {"HardSwish", "Add"}
    assert not gaps(graph, graph.specs, found.grids, heavy_inputs_only=True)


def test_a_network_quantized_for_tensorrt_is_in_integers_where_a_convolution_reads_them(build: Any) -> None:
    nodes = [
        *pair("x", "g", "a"), ("Conv", ["a", "w"], ["c"], {}), ("Add", ["c", "x"], ["s"], {}), ("Conv", ["s", "w"], ["y"], {}),
    ]  # fmt: skip
    constants = {"g_s": np.float32(0.1), "g_z": np.int8(0), "w": rng.normal(size=(2, 2, 1, 1)).astype(np.float32)}
    found = undress(build(nodes, inputs={"x": (1, 2, 4, 4)}, outputs=["y"], constants=constants))
    names = [node.name for node in found.graph.nodes]
    assert gaps(found.graph, found.graph.specs, found.grids, heavy_inputs_only=True) == {names[2]}
    assert gaps(found.graph, found.graph.specs, found.grids, heavy_inputs_only=False) == set(names)


def test_what_is_made_on_the_way_between_two_grids_stays_in_integers(build: Any) -> None:
    nodes = [
        ("Conv", ["x", "w"], ["one"], {}), ("Conv", ["x", "w"], ["two"], {}), ("Concat", ["one", "two"], ["y"], {"axis": 1}),
    ]  # fmt: skip
    graph = build(
        nodes, inputs={"x": (1, 2, 4, 4)}, outputs=["y"], constants={"w": rng.normal(size=(2, 2, 1, 1)).astype(np.float32)}
    )
    grid = QuantParams(scale=np.array([0.1], np.float32), zero_point=np.array([0], np.int32), dtype="int8")
    grids = {"x": grid, "y": grid}
    assert not gaps(graph, {"x", "y"}, grids, heavy_inputs_only=False)
    assert joined(graph, grids, {"x", "y"}) == {**grids, "one": grid, "two": grid}
