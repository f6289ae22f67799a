"""A graph that comes quantized is taken apart without losing what it knew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.observe.recorded import on_own_grids, undress, with_ranges
from edgekit.converters.quantize.parameters import Quantization, QuantParams, quantize
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
