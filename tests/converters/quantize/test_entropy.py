"""The range of least divergence: rare outliers are cut, an even spread is kept whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.converters.quantize.observe.histogram import observe
from edgekit.converters.quantize.ranges.choose import Scheme, choose, expected_error, min_max, parameters
from edgekit.converters.quantize.ranges.entropy import SHARES, least_divergent_share

RNG = np.random.default_rng(0)


def test_an_even_spread_is_kept_whole() -> None:
    assert least_divergent_share(observe(RNG.uniform(-1, 1, 30_000).astype(np.float32))) > 0.9


def test_a_few_far_outliers_are_cut() -> None:
    values = np.concatenate([RNG.normal(size=30_000), [200.0]]).astype(np.float32)
    assert least_divergent_share(observe(values)) < 0.75


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_there_is_always_an_answer_and_never_a_range_worse_than_the_whole(values: list[float]) -> None:
    histogram = observe(np.array(values, np.float32))
    assert least_divergent_share(histogram) in SHARES
    scheme = Scheme(dtype="int8")
    chosen, whole = (
        expected_error(histogram, parameters(each, scheme)) for each in (choose(histogram, scheme), min_max(histogram))
    )
    assert chosen <= whole
