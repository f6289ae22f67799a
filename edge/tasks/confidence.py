"""Scores that mean what they say: of answers with a score of 0.9, nine in ten are right.

Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017): the logits are divided by one number, fitted
on data that neither trained the weights nor tests them. It changes no answer, only how sure the network says it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

LEAST = 1e-7
BINS = 15
LOWEST, HIGHEST, STEPS = 0.1, 10.0, 60


def tempered(probabilities: Floats, temperature: float, *, least: float = LEAST) -> NDArray[np.float32]:
    """Probabilities [..., K] with their logits divided by `temperature`; above 1 they come closer together.

    `least` is the smallest probability that the source can tell from zero: half a step of a quantized output.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), least)) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def fitted_temperature(probabilities: Floats, labels: Ints) -> float:
    """The temperature under which `labels` [N] are likeliest for `probabilities` [N, K], by golden-section search."""
    low, high = np.log(LOWEST), np.log(HIGHEST)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if surprise(tempered(probabilities, float(np.exp(left))), labels) < surprise(
            tempered(probabilities, float(np.exp(right))), labels
        ):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def surprise(probabilities: Floats, labels: Ints) -> float:
    """Mean negative log likelihood of `labels`."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(right, LEAST)).mean())


def calibration_error(probabilities: Floats, labels: Ints, bins: int = BINS) -> float:
    """Expected calibration error of the best answer: |how often right - how sure|, over equally wide bins of the score."""
    scores, right = probabilities.max(axis=-1), probabilities.argmax(axis=-1) == labels
    places = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        abs(right[places == place].mean() - scores[places == place].mean()) * (places == place).sum() for place in set(places)
    ]
    return float(sum(gaps) / len(labels))
