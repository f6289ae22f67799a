"""A percentile is given only with enough samples, and its bounds hold as often as they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmark.statistics.percentiles import lower_rank, percentiles, samples_needed, upper_rank, value_rank


@pytest.mark.parametrize(("level", "at_99", "at_95"), [(90.0, 64, 46), (99.0, 662, 473), (99.9, 6636, 4742)])
def test_sample_counts_are_those_of_mlperf_early_stopping(level: float, at_99: int, at_95: int) -> None:
    assert samples_needed(level, 0.99) == at_99
    assert samples_needed(level, 0.95) == at_95


@pytest.mark.parametrize("level", [50.0, 90.0, 99.0, 99.9])
def test_one_sample_less_leaves_only_the_maximum_or_nothing_as_a_bound(level: float) -> None:
    n = samples_needed(level)
    assert upper_rank(n, level) <= n - 1
    assert upper_rank(n - 1, level) >= n - 1


def test_a_percentile_without_enough_samples_is_absent() -> None:
    def levels(count: int) -> list[float]:
        return [found.level for found in percentiles(np.arange(count, dtype=np.int64))]

    assert levels(10) == []
    assert levels(11) == levels(63) == [50.0]
    assert levels(64) == levels(661) == [50.0, 90.0]
    assert levels(662) == [50.0, 90.0, 99.0]


def exact_cdf(n: int, p: float, k: int) -> float:
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@given(st.integers(1, 120), st.sampled_from([10.0, 50.0, 75.0, 90.0, 99.0]), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_upper_rank_is_the_first_whose_exact_coverage_suffices(n: int, level: float, confidence: float) -> None:
    rank = upper_rank(n, level, confidence)
    if rank <= n:
        assert exact_cdf(n, level / 100, rank - 1) >= confidence - 1e-12
    assert rank == 1 or exact_cdf(n, level / 100, rank - 2) < confidence + 1e-12


@given(st.integers(1, 300), st.floats(1, 99))
def test_lower_and_upper_ranks_mirror_each_other(n: int, level: float) -> None:
    assert lower_rank(n, level) == n + 1 - upper_rank(n, 100 - level)
    assert 0 <= lower_rank(n, level) <= value_rank(n, level) <= upper_rank(n, level) <= n + 1


@given(st.lists(st.integers(0, 10**12), min_size=64, max_size=900))
def test_bounds_enclose_a_value_that_was_measured(samples: list[int]) -> None:
    for found in percentiles(np.asarray(samples, np.int64)):
        assert found.lower_ms <= found.value_ms <= found.upper_ms
        assert found.value_ms in {round(sample / 1e6, 6) for sample in samples}


@given(st.lists(st.integers(0, 10**9), min_size=64, max_size=100), st.randoms())
def test_the_order_of_the_samples_does_not_matter(samples: list[int], random: object) -> None:
    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert percentiles(np.asarray(samples)) == percentiles(np.asarray(shuffled))


@given(st.integers(64, 400), st.integers(1, 1000))
def test_percentiles_scale_with_the_unit(n: int, factor: int) -> None:
    samples = np.random.default_rng(n).integers(1, 10**6, n)
    once, scaled = percentiles(samples * 1000), percentiles(samples * 1000 * factor)
    assert [one.value_ms for one in scaled] == pytest.approx([one.value_ms * factor for one in once])


@pytest.mark.parametrize(("n", "level"), [(64, 90.0), (200, 50.0), (200, 90.0), (700, 99.0), (6636, 99.9)])
def test_bounds_hold_at_least_as_often_as_stated(n: int, level: float) -> None:
    """Coverage by simulation on a skewed distribution whose quantiles are known; three standard errors of slack."""
    trials = 4000 if n < 1000 else 1500
    ordered = np.sort(np.random.default_rng(7).exponential(size=(trials, n)), axis=1)
    truth = -math.log(1 - level / 100)
    slack = 3 * math.sqrt(0.99 * 0.01 / trials)
    assert np.mean(ordered[:, upper_rank(n, level) - 1] >= truth) >= 0.99 - slack
    if lower_rank(n, level) >= 1:
        assert np.mean(ordered[:, lower_rank(n, level) - 1] <= truth) >= 0.99 - slack


def test_a_million_samples_are_no_trouble() -> None:
    assert upper_rank(1_000_000, 50.0) == pytest.approx(500_000 + 2.326 * 500, abs=3)
    assert upper_rank(1_000_000, 99.9) == pytest.approx(999_000 + 2.326 * math.sqrt(999), abs=3)
