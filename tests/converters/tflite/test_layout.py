"""Layout algebra: what a permutation says about memory, and when a reshape is free."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.converters.lower.tflite.layout import channels_last, dim_groups, identity, reshaped, same_data, stored

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


@st.composite
def reshapes(draw):
    """A source shape, a permutation of it, and a target shape of as many elements."""
    factors = draw(st.lists(st.sampled_from([1, 2, 3, 5]), min_size=1, max_size=6))
    return grouped(draw, factors), grouped(draw, factors), draw(st.randoms(use_true_random=False))


def grouped(draw, factors):
    """The factors multiplied together in runs."""
    cuts = sorted(draw(st.sets(st.integers(1, len(factors)), max_size=4)) | {len(factors)})
    return tuple(int(np.prod(factors[a:b])) for a, b in zip([0, *cuts[:-1]], cuts, strict=True))


@given(reshapes())
def test_a_free_reshape_regroups_the_stored_data_and_nothing_else(drawn):
    source, target, random = drawn
    permutation = tuple(random.sample(range(len(source)), len(source)))
    result = reshaped(source, target, permutation)
    array = np.arange(np.prod(source)).reshape(source)
    if result is not None:
        physical = array.transpose(permutation).reshape(stored(target, result))
        np.testing.assert_array_equal(physical, array.reshape(target).transpose(result))


@given(reshapes())
def test_a_reshape_of_data_in_the_source_order_is_always_free(drawn):
    source, target, _ = drawn
    result = reshaped(source, target, identity(len(source)))
    assert result is not None and same_data(target, result, identity(len(target)))


@given(shapes, st.randoms(use_true_random=False))
def test_a_reshape_to_the_same_shape_keeps_the_layout(shape, random):
    permutation = tuple(random.sample(range(len(shape)), len(shape)))
    result = reshaped(shape, shape, permutation)
    assert result is not None and same_data(shape, result, permutation)


@given(reshapes())
def test_groups_cover_every_dimension_once_and_have_equal_products(drawn):
    source, target, _ = drawn
    groups = dim_groups(source, target)
    assert [a for left, _ in groups for a in left] == [a for a, size in enumerate(source) if size != 1]
    assert [b for _, right in groups for b in right] == [b for b, size in enumerate(target) if size != 1]
    for left, right in groups:
        assert np.prod([source[a] for a in left]) == np.prod([target[b] for b in right])


def test_rows_of_a_channels_last_picture_merge_freely():
    assert reshaped((1, 85, 52, 52), (1, 85, 2704), (0, 2, 3, 1)) == (0, 2, 1)


def test_channels_and_rows_of_a_channels_last_picture_do_not_merge():
    assert reshaped((1, 4, 3, 3), (1, 36), (0, 2, 3, 1)) is None


def test_a_pooled_picture_flattens_freely_in_any_layout():
    assert reshaped((1, 64, 1, 1), (1, 64), channels_last(4)) == (0, 1)


def test_dimensions_of_size_one_hold_no_order():
    assert same_data((1, 8, 1, 1), identity(4), channels_last(4))
    assert not same_data((1, 8, 2, 1), identity(4), channels_last(4))


def test_shapes_of_different_sizes_are_not_a_reshape():
    with pytest.raises(ValueError, match="has 6 elements"):
        dim_groups((2, 3), (7,))
