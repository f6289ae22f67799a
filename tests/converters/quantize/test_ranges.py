"""Ranges and parameters: what the integers can say, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgekit.converters.quantize.observe.histogram import observe
from edgekit.converters.quantize.parameters import LIMITS, dequantize, quantize
from edgekit.converters.quantize.ranges.choose import Range, Scheme, choose, expected_error, fixed, min_max, parameters, spanned
from edgekit.converters.quantize.ranges.responses import sigmoid, silu

SCHEMES = [Scheme(dtype="int8"), Scheme(dtype="uint8"), Scheme(dtype="int8", symmetric=True)]
schemes = st.sampled_from(SCHEMES)
reals = st.floats(2.0**-20, 1e6, width=32)
ranges = st.builds(lambda low, high: Range(low=-low, high=high), st.one_of(st.just(0.0), reals), st.one_of(st.just(0.0), reals))
values_in = arrays(np.float32, st.integers(2, 64), elements=st.floats(-1e6, 1e6, width=32))


@given(ranges, schemes)
def test_zero_is_exactly_representable(interval: Range, scheme: Scheme) -> None:
    params = parameters(interval, scheme)
    assert dequantize(quantize(np.zeros(3, np.float32), params), params).tolist() == [0.0, 0.0, 0.0]


@given(ranges, schemes, st.floats(0, 1))
def test_a_value_inside_the_range_comes_back_within_half_a_step(interval: Range, scheme: Scheme, at: float) -> None:
    params = parameters(interval, scheme)
    value = np.array([interval.low + at * interval.span], np.float64)
    error = abs(float(dequantize(quantize(value, params), params)[0]) - value[0])
    assert error <= float(params.scale[0]) * 0.5 * (1 + 1e-4)


@given(ranges, schemes, values_in)
def test_quantizing_is_monotone_and_stays_within_the_type(interval: Range, scheme: Scheme, values: NDArray[np.float32]) -> None:
    stored = quantize(np.sort(values), parameters(interval, scheme)).astype(int)
    low, high = LIMITS[scheme.dtype]
    assert (np.diff(stored) >= 0).all()
    assert low <= stored.min() <= stored.max() <= high


@given(values_in, schemes)
def test_the_chosen_range_never_costs_more_than_minimum_and_maximum(values: NDArray[np.float32], scheme: Scheme) -> None:
    seen = observe(values)
    chosen, whole = choose(seen, scheme), min_max(seen)
    assert chosen.low <= 0 <= chosen.high
    assert expected_error(seen, parameters(chosen, scheme)) <= expected_error(seen, parameters(whole, scheme))


@given(ranges)
def test_symmetric_parameters_have_zero_point_zero_and_reach_both_ends(interval: Range) -> None:
    params = parameters(interval, Scheme(dtype="int8", symmetric=True))
    assert params.zero_point.tolist() == [0]
    assert spanned(params).high >= interval.reach * (1 - 1e-6)


def test_long_tails_are_clipped_where_that_costs_less_than_coarse_steps() -> None:
    seen = observe(np.random.default_rng(1).laplace(size=30000).astype(np.float32))
    chosen, whole = choose(seen, Scheme(dtype="int8")), min_max(seen)
    assert chosen.span < 0.95 * whole.span
    assert expected_error(seen, parameters(chosen, Scheme(dtype="int8"))) < expected_error(
        seen, parameters(whole, Scheme(dtype="int8"))
    )


def test_a_range_that_is_used_evenly_is_not_clipped() -> None:
    values = np.linspace(-2, 6, 10001, dtype=np.float32)
    chosen = choose(observe(values), Scheme(dtype="int8"))
    assert (chosen.low, chosen.high) == pytest.approx((-2.0, 6.0), abs=0.02)


def test_behind_a_sigmoid_a_range_need_not_reach_where_it_is_flat() -> None:
    values = np.random.default_rng(1).normal(scale=30, size=30000).astype(np.float32)
    seen = observe(values)
    behind, plain = choose(seen, Scheme(dtype="int8"), sigmoid), choose(seen, Scheme(dtype="int8"))
    assert behind.span < plain.span / 3


def test_behind_silu_only_the_negative_side_is_flat() -> None:
    values = np.random.default_rng(1).uniform(-60, 60, size=30000).astype(np.float32)
    chosen = choose(observe(values), Scheme(dtype="int8"), silu)
    assert chosen.low > -30
    assert chosen.high > 50


def test_a_dead_tensor_gets_a_scale_that_is_not_zero() -> None:
    params = parameters(choose(observe(np.zeros(10, np.float32)), Scheme(dtype="uint8")), Scheme(dtype="uint8"))
    assert params.scale[0] > 0


@pytest.mark.parametrize(
    ("op", "dtype", "scale", "zero_point"),
    [
        ("Sigmoid", "int8", 1 / 256, -128),
        ("Softmax", "int8", 1 / 256, -128),
        ("Tanh", "int8", 1 / 128, 0),
        ("Sigmoid", "uint8", 1 / 256, 0),
        ("Tanh", "uint8", 1 / 128, 128),
    ],
)
def test_bounded_operators_have_the_parameters_that_their_kernels_demand(
    op: str, dtype: str, scale: float, zero_point: int
) -> None:
    params = fixed(op, dtype)  # type: ignore[arg-type]
    assert params is not None
    assert (float(params.scale[0]), int(params.zero_point[0])) == (scale, zero_point)


def test_other_operators_have_none() -> None:
    assert fixed("Relu", "int8") is None
