"""Rates are fitted to latencies, relative and never negative, and predict what they were not fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.core.errors import InputError
from edgekit.prediction.fit import Terms, fit, left_out, mean_error, non_negative, predicted_ms, terms
from edgekit.prediction.plausible import disorder
from edgekit.prediction.work import Work

RATES = {"operators": 2e-3, "products conv": 1e-5, "moved": 3e-5}


def made(count: int, seed: int = 0) -> list[Terms]:
    random = np.random.default_rng(seed)
    return [
        {
            "operators": float(random.integers(1, 60)),
            "products conv": float(random.integers(10**3, 10**6)),
            "moved": float(random.integers(10**3, 10**5)),
        }
        for _ in range(count)
    ]


def latencies(rows: Sequence[Terms]) -> list[float]:
    return [predicted_ms(row, RATES) for row in rows]


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(8, 40), columns=st.integers(1, 10))
def test_the_non_negative_solution_cannot_be_improved(seed: int, rows: int, columns: int) -> None:
    random = np.random.default_rng(seed)
    matrix, goal = random.random((rows, columns)), random.normal(size=rows)
    x = non_negative(matrix, goal)
    gradient = matrix.T @ (goal - matrix @ x)
    assert (x >= 0).all()
    assert (gradient[x == 0] <= 1e-6).all(), "a rate of zero would be better above zero"
    assert (np.abs(gradient[x > 0]) <= 1e-6).all(), "a rate above zero is not the best one"


def test_the_non_negative_solution_of_equal_columns_is_found() -> None:
    matrix = np.ones((9, 3))
    assert matrix @ non_negative(matrix, np.full(9, 6.0)) == pytest.approx(6.0)


def test_rates_that_made_the_latencies_are_found_again() -> None:
    rows = made(20)
    assert fit(rows, latencies(rows)) == pytest.approx(RATES, rel=1e-3)


@settings(max_examples=20)
@given(factor=st.floats(1.5, 20), place=st.integers(0, 29))
def test_one_disturbed_measurement_does_not_bend_the_rest(factor: float, place: int) -> None:
    rows = made(30)
    honest = latencies(rows)
    measured = [ms * factor if index == place else ms for index, ms in enumerate(honest)]
    rates = fit(rows, measured)
    assert mean_error([predicted_ms(row, rates) / ms for row, ms in zip(rows, honest, strict=True)]) < 0.01


def test_what_every_inference_costs_is_not_laid_on_the_few_numbers_that_all_networks_end_in() -> None:
    """One family: as many operators in each, and the same softmax. Another family has many such numbers."""
    family = [{**row, "operators": 30.0, "combined": 2000.0} for row in made(20)]
    measured = [predicted_ms(row, {"operators": 0.1, "moved": 3e-5}) for row in family]
    other = {"operators": 60.0, "moved": 5e4, "combined": 4e5}
    assert predicted_ms(other, fit(family, measured)) == pytest.approx(6.0 + 1.5, rel=0.25), "not 600"


def test_what_takes_no_time_has_a_rate_of_zero_not_a_negative_one() -> None:
    rows = [{**row, "weights": 1e6 - row["moved"]} for row in made(20)]
    rates = fit(rows, latencies(made(20)))
    assert min(rates.values()) >= 0


def test_too_few_measurements_and_a_time_of_zero_are_refused() -> None:
    with pytest.raises(InputError, match="7 measurements are too few"):
        fit(made(7), latencies(made(7)))
    with pytest.raises(InputError, match="zero has no rate"):
        fit(made(8), [0.0, *latencies(made(7))])


def test_a_group_is_predicted_from_the_others_alone() -> None:
    rows = made(24)
    measured = latencies(rows)
    measured[:3] = [ms * 5 for ms in measured[:3]]
    ratios = left_out(rows, measured, ["odd"] * 3 + list(range(21)))
    assert ratios[:3] == pytest.approx([0.2] * 3, rel=1e-6)
    assert mean_error(ratios[:3]) == pytest.approx(0.8)


def test_the_terms_of_a_convolution_are_those_of_a_matrix_product() -> None:
    works = [Work(kind="conv", macs=24, reads=12, writes=8, weights=6), Work(kind="view"), Work(kind="face", writes=5)]
    assert terms(works) == {
        "operators": 2,
        "products conv": 24,
        "fetched conv": 12,
        "moved": 20,
        "weights": 6,
        "face": 5,
    }


def test_more_work_that_takes_less_time_is_disorder() -> None:
    rows = [{"moved": float(size)} for size in range(1, 11)]
    steady = [float(size) for size in range(1, 11)]
    assert disorder(rows, steady) == 0.0
    assert disorder(rows, [steady[-1], *steady[:-1]]) == pytest.approx(9 / 45)
    assert disorder(rows[:1], [1.0]) == 0.0
