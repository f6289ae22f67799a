"""Temperature scaling: it changes how sure an answer is, never the answer, and finds the temperature that was used."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.tasks.confidence import calibration_error, fitted_temperature, surprise, tempered


def drawn(temperature: float, samples: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a network that is wrong about how sure it is by `temperature`, and labels drawn from the true ones."""
    random = np.random.default_rng(5)
    logits = 2.0 * random.standard_normal((samples, 10))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (true.cumsum(axis=1) > random.random((samples, 1))).argmax(axis=1)
    return tempered(true, 1 / temperature), labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_used_is_found_and_makes_scores_honest(temperature: float) -> None:
    probabilities, labels = drawn(temperature)
    found = fitted_temperature(probabilities, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    fitted = tempered(probabilities, found)
    assert calibration_error(fitted, labels) < 0.02
    assert surprise(fitted, labels) <= surprise(probabilities, labels) + 1e-9


def test_the_answers_stay_the_same_and_sum_to_one() -> None:
    probabilities, _ = drawn(1.0, samples=500)
    for temperature in (0.3, 3.0):
        changed = tempered(probabilities, temperature)
        assert (changed.argsort(axis=1) == probabilities.argsort(axis=1)).all()
        np.testing.assert_allclose(changed.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(tempered(probabilities, 1.0), probabilities, atol=1e-6)


def test_what_a_quantized_output_rounded_to_zero_counts_as_half_a_step() -> None:
    given = np.array([0.0, 1.0], np.float32)
    np.testing.assert_allclose(tempered(given, 1.0, least=1 / 512), [1 / 513, 512 / 513], atol=1e-6)
    assert np.isfinite(tempered(given, 0.5)).all()


def test_the_error_of_an_overconfident_network_is_the_gap() -> None:
    probabilities = np.tile(np.array([0.9, 0.1]), (1000, 1))
    labels = np.array([0] * 600 + [1] * 400)
    assert calibration_error(probabilities, labels) == pytest.approx(0.3)
    assert calibration_error(np.tile(np.array([0.6, 0.4]), (1000, 1)), labels) == pytest.approx(0.0, abs=1e-9)
