"""How much of a difference in AP50 is chance: the same pictures for both models, drawn again and again with repetition (paired bootstrap).

python benchmarks/pruning_chance.py SOURCE.onnx PRUNED.onnx instances.json
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgekit.evaluation import opened
from edgekit.tasks.data.datasets import open_dataset
from edgekit.tasks.evaluate import judged_pictures
from edgekit.tasks.metrics import Judged, average_precision50

ROUNDS, SEED = 1000, 0


def ap50_difference(source: Path, other: Path, labelled: Path) -> tuple[float, float]:
    """The second model's AP50 less the first's: the interval that holds 95 of a hundred drawings of the pictures (Efron 1979)."""
    first, second = (_judged(model, labelled) for model in (source, other))
    draw = np.random.default_rng(SEED)
    found = []
    for _ in range(ROUNDS):
        rows = draw.integers(0, len(first), len(first))
        found.append(_ap50(second, rows) - _ap50(first, rows))
    low, high = np.percentile(found, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _judged(model: Path, labelled: Path) -> list[Judged]:
    with opened(model) as examinee:
        return list(judged_pictures(examinee, open_dataset(labelled)))


def _ap50(pictures: list[Judged], rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    return average_precision50([pictures[row] for row in rows]).mean


if __name__ == "__main__":
    print(ap50_difference(*(Path(name) for name in sys.argv[1:4])))
