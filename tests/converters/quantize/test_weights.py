"""Weights: one scale per output channel, room for the bias, and no scale of zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.parameters import QuantParams, dequantize, quantize
from edgekit.converters.quantize.ranges.weights import bias_params, output_axis, weight_params, widest

kernels = arrays(np.float32, (4, 3, 2, 2), elements=st.floats(-10, 10, width=32))


def error(weight: NDArray[np.float32], params: QuantParams) -> float:
    return float(np.square(dequantize(quantize(weight, params), params).astype(np.float64) - weight).sum())


@given(kernels)
def test_weights_use_minus_127_to_127_and_come_back_within_half_a_step(weight: NDArray[np.float32]) -> None:
    params = weight_params(weight, 0)
    stored = quantize(weight, params)
    assert np.abs(stored.astype(int)).max() <= 127
    steps = params.scale.reshape(4, 1, 1, 1)
    assert (np.abs(dequantize(stored, params) - weight) <= steps * 0.5001).all()


@given(kernels)
def test_no_channel_has_a_coarser_step_per_channel_than_per_tensor(weight: NDArray[np.float32]) -> None:
    assert weight_params(weight, 0).scale.max() <= weight_params(weight, None).scale[0]


def test_per_channel_scales_save_the_small_channels() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32) * np.logspace(
        -3, 0, 8, dtype=np.float32
    ).reshape(8, 1, 1, 1)
    assert error(weight[:2], weight_params(weight[:2], 0)) < error(weight[:2], weight_params(weight, None)) / 100


@given(kernels, arrays(np.float32, 4, elements=st.floats(-1e6, 1e6, width=32)), st.floats(1e-6, 10))
def test_every_bias_fits_int32_with_room_to_spare(
    weight: NDArray[np.float32], bias: NDArray[np.float32], input_scale: float
) -> None:
    params = weight_params(weight, 0, bias=bias, input_scale=input_scale)
    assert (np.abs(bias) / (input_scale * params.scale.astype(np.float64)) <= 2.0**30 * 1.001).all()


def test_a_channel_of_tiny_weights_and_an_ordinary_bias_keeps_its_bias() -> None:
    weight = np.ones((2, 1, 1, 1), np.float32)
    weight[1] = 1e-9
    bias = np.array([0.5, 3.0], np.float32)
    source = QuantParams(scale=np.array([0.02], np.float32), zero_point=np.zeros(1, np.int32), dtype="int8")
    params = weight_params(weight, 0, bias=bias, input_scale=0.02)
    stored = bias_params(source, params)
    assert np.allclose(dequantize(quantize(bias, stored), stored), bias, rtol=1e-3)


def test_dead_channels_borrow_a_scale() -> None:
    weight = np.zeros((3, 2, 1, 1), np.float32)
    weight[1] = 2.0
    assert (weight_params(weight, 0).scale > 0).all()
    assert (weight_params(np.zeros((3, 2, 1, 1), np.float32), 0).scale > 0).all()


def test_a_weight_that_two_layers_share_suits_both() -> None:
    first, second = weight_params(np.full((2, 1), 1.0, np.float32), 0), weight_params(np.full((2, 1), 3.0, np.float32), 0)
    assert np.array_equal(widest(first, second).scale, second.scale)
    assert widest(first, weight_params(np.full((1, 2), 3.0, np.float32), 1)).axis is None


@pytest.mark.parametrize(
    ("op", "shape", "attributes", "axis"),
    [
        ("Conv", (4, 2, 3, 3), {}, 0),
        ("Conv", (2, 1, 3, 3), {"group": 2}, 0),
        ("ConvTranspose", (2, 4, 2, 2), {}, 1),
        ("ConvTranspose", (2, 1, 2, 2), {"group": 2}, None),
        ("Gemm", (2, 5), {}, 1),
        ("Gemm", (5, 2), {"transB": 1}, 0),
        ("MatMul", (2, 5), {}, 1),
    ],
)
def test_the_axis_of_output_channels_follows_the_operator(
    build: object, op: str, shape: tuple[int, ...], attributes: dict[str, int], axis: int | None
) -> None:
    source = (1, 2, 8, 8) if len(shape) == 4 else (1, 2)
    graph: Graph = build(
        [(op, ["x", "w"], ["y"], attributes)], inputs={"x": source}, outputs=["y"], constants={"w": np.ones(shape, np.float32)}
    )  # type: ignore[operator]
    assert output_axis(graph, graph.nodes[0]) == axis
