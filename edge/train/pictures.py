"""Curves and a confusion matrix as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.core.optional import need
from edgekit.train.loop import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION = "#8a8f98", "#0b62d6"


def curves(history: Sequence[Epoch], best_epoch: int) -> bytes:
    """PNG: loss and error rate of every epoch, the kept one marked."""
    figure: Figure = need("matplotlib.figure").Figure(figsize=(9, 3.6), layout="constrained")
    loss, error = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in history]
    loss.plot(numbers, [epoch.train_loss for epoch in history], color=TRAIN, label="training (smoothed labels, distorted)")
    loss.plot(numbers, [epoch.validation_loss for epoch in history], color=VALIDATION, label="validation")
    loss.set(title="cross-entropy", xlabel="epoch", yscale="log")
    error.plot(numbers, [_percent_wrong(epoch.train_accuracy) for epoch in history], color=TRAIN, label="training (distorted)")
    error.plot(numbers, [_percent_wrong(epoch.validation_accuracy) for epoch in history], color=VALIDATION, label="validation")
    error.axvline(best_epoch, color=VALIDATION, linewidth=0.8, linestyle=":", label=f"kept: epoch {best_epoch}")
    error.set(title="wrong answers, %", xlabel="epoch", yscale="log")
    for axes in (loss, error):
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.25)
    return _png(figure)


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts [classes, classes]: row = the digit that was written, column = the digit that was read."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def confusion(matrix: NDArray[np.int64]) -> bytes:
    """PNG of a confusion matrix; the diagonal is left pale so that the errors stand out."""
    figure: Figure = need("matplotlib.figure").Figure(figsize=(5.4, 5.4), layout="constrained")
    axes: Axes = figure.subplots()
    errors = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    axes.imshow(errors, cmap="Reds", vmin=0, vmax=max(int(errors.max()), 1) * 1.6)
    for row, column in np.argwhere(matrix > 0):
        right = row == column
        color = TRAIN if right else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=8, color=color)
    axes.set(xlabel="read as", ylabel="written", xticks=range(len(matrix)), yticks=range(len(matrix)))
    axes.set_title(f"{int(errors.sum())} of {int(matrix.sum())} digits read wrongly")
    return _png(figure)


def _percent_wrong(accuracy: float) -> float:
    """In percent; a perfect epoch is drawn at 0.01 % because the axis is logarithmic."""
    return max(100 * (1 - accuracy), 0.01)


def _png(figure: Figure) -> bytes:
    """The picture's bytes, without the date and version that would make equal pictures differ."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
