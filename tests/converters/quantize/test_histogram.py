"""The streaming histogram: exact extremes, bounded memory, and no dependence on the order of the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgekit.converters.quantize.observe.histogram import BINS, SAMPLED, Histogram, merge, observe

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)
ARRAYS = arrays(np.float32, st.integers(1, 200), elements=FLOATS)


def equal(first: Histogram, second: Histogram) -> bool:
    same = (first.minimum, first.maximum, first.width, first.start, first.zeros) == (
        second.minimum,
        second.maximum,
        second.width,
        second.start,
        second.zeros,
    )
    return same and np.array_equal(first.counts, second.counts)


@given(ARRAYS)
def test_extremes_are_exact_every_value_is_counted_once_and_memory_is_bounded(values: NDArray[np.float32]) -> None:
    seen = observe(values)
    assert (seen.minimum, seen.maximum) == (float(values.min()), float(values.max()))
    assert seen.total == values.size
    assert seen.counts.size <= BINS + 1
    assert (seen.counts >= 0).all()


@given(ARRAYS, ARRAYS, ARRAYS)
def test_the_order_of_the_data_does_not_matter(a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]) -> None:
    forwards = merge(merge(observe(a), observe(b)), observe(c))
    backwards = merge(observe(c), merge(observe(b), observe(a)))
    assert equal(forwards, backwards)


@given(ARRAYS, ARRAYS)
def test_merging_is_the_same_as_seeing_everything_at_once(a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    assert equal(merge(observe(a), observe(b)), observe(np.concatenate([a, b])))


@given(ARRAYS)
def test_every_value_lies_in_the_bin_that_counted_it(values: NDArray[np.float32]) -> None:
    seen = observe(values)
    edges = (np.arange(seen.counts.size + 1) + seen.start) * seen.width
    nonzero = values[values != 0].astype(np.float64)
    expected, _ = np.histogram(nonzero, bins=edges)
    inside = expected[:-1] if expected.size > 1 else expected[:0]
    assert np.array_equal(inside, seen.counts[: inside.size])


def test_exact_zeros_are_counted_apart_for_integers_give_them_back_exactly() -> None:
    seen = observe(np.array([0.0, 0.0, 0.0, 1.0], np.float32))
    assert seen.zeros == 3
    assert seen.counts.sum() == 1


def test_a_large_array_is_sampled_but_its_extremes_are_not_missed() -> None:
    values = np.zeros(20 * SAMPLED, np.float32)
    values[12345] = 9.0
    values[54321] = -3.0
    seen = observe(values)
    assert (seen.minimum, seen.maximum) == (-3.0, 9.0)
    assert seen.total <= 2 * SAMPLED


@pytest.mark.parametrize(("wrong", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_values_that_are_not_finite_are_refused_by_name(wrong: float, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        observe(np.array([1.0, wrong], np.float32))


def test_an_empty_array_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        observe(np.zeros((0, 3), np.float32))
