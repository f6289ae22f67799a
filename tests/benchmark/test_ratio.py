"""Ratios come with intervals that hold the truth as often as they say, restarts included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import make_run

from edgekit.benchmark.report import Run
from edgekit.benchmark.statistics.ratio import ratio, student_quantile
from edgekit.core.errors import InputError

milliseconds = st.floats(0.01, 1000)
samples = st.lists(milliseconds, min_size=8, max_size=40)


@pytest.mark.parametrize(
    ("p", "freedom", "quantile"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 4, 2.7764), (0.995, 4, 4.6041), (0.975, 30, 2.0423), (0.5, 3, 0.0)],
)
def test_quantiles_of_student_are_those_of_the_tables(p: float, freedom: float, quantile: float) -> None:
    assert student_quantile(p, freedom) == pytest.approx(quantile, rel=2e-4, abs=1e-4)


@given(st.lists(samples, min_size=1, max_size=3), st.lists(samples, min_size=1, max_size=3))
def test_swapping_the_two_turns_the_ratio_over(first: list[list[float]], second: list[list[float]]) -> None:
    base, other = [make_run(run) for run in first], [make_run(run) for run in second]
    there, back = ratio(base, other), ratio(other, base)
    assert there.value == pytest.approx(1 / back.value)
    assert (there.low, there.high) == (pytest.approx(1 / back.high), pytest.approx(1 / back.low))
    assert there.low <= there.value <= there.high


@given(st.lists(samples, min_size=2, max_size=3))
def test_a_report_against_itself_proves_nothing(runs: list[list[float]]) -> None:
    found = ratio([make_run(run) for run in runs], [make_run(run) for run in runs])
    assert found.value == pytest.approx(1)
    assert not found.proven


@given(st.lists(samples, min_size=2, max_size=3), st.integers(2, 9))
def test_runs_that_take_n_times_as_long_have_ratio_n(runs: list[list[float]], factor: int) -> None:
    found = ratio([make_run(run) for run in runs], [make_run([value * factor for value in run]) for run in runs])
    assert found.value == pytest.approx(factor, rel=1e-3)


def test_a_single_restart_leaves_the_restarts_out_and_says_so() -> None:
    assert not ratio([make_run([1.0] * 50)], [make_run([1.1] * 50)] * 2).restarts_known
    assert ratio([make_run([1.0] * 50)] * 2, [make_run([1.1] * 50)] * 2).restarts_known


def test_a_latency_of_zero_has_no_ratio() -> None:
    with pytest.raises(InputError, match="a latency of zero"):
        ratio([make_run([0.0] * 20)], [make_run([1.0] * 20)])


@pytest.mark.parametrize("restarts", [2, 3, 5])
def test_the_interval_holds_the_truth_as_often_as_it_says_when_restarts_differ(restarts: int) -> None:
    """Simulation: restarts scatter by 3 %, samples within a run by 10 %, the true ratio is 1.05."""
    generator = np.random.default_rng(restarts)

    def runs(level: float) -> list[Run]:
        return [make_run(level * np.exp(generator.normal(0, 0.03) + generator.normal(0, 0.1, 60))) for _ in range(restarts)]

    trials = 400
    held = sum(found.low <= 1.05 <= found.high for found in (ratio(runs(1.0), runs(1.05)) for _ in range(trials)))
    assert held / trials >= 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5
