"""Loitering: area under the ROC curve of the shipped rule, and of the same rule refitted, cross-validated.

    python benchmarks/loitering.py TRACKS.jsonl.gz [--json]

The first line scores the shipped coefficients on the file. When that is the file they were fitted on, this flatters them: what
counts then is the cross-validated line, five folds drawn at random and five of neighbouring tracks (people of one scene).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from common import conditions, write
from numpy.typing import NDArray

from edgekit.apps.vision.activities import loitering
from edgekit.apps.vision.activities.loitering_fit import Labelled, fit, labelled, read_tracks
from edgekit.core.files import sha256_file

FOLDS, BLOCK = 5, 50


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The chance that a positive scores higher than a negative; ties count half."""
    order = np.sort(scores[~positive])
    below, upto = np.searchsorted(order, scores[positive], "left"), np.searchsorted(order, scores[positive], "right")
    return float((below + upto).mean() / 2 / max(len(order), 1))


def cross_validated(data: Labelled, folds: NDArray[np.intp]) -> float:
    scores = np.zeros(len(folds))
    for fold in range(FOLDS):
        inside = folds != fold
        rule = fit(Labelled(measures=data.measures[inside], loitering=data.loitering[inside]))
        normal = (data.measures[~inside] - rule.mean) / rule.deviation
        terms = (loitering.expanded(normal) - rule.product_mean) / rule.product_deviation
        scores[~inside] = terms @ np.array(rule.weights) + rule.bias
    return auc(scores, data.loitering)


def measure(path: Path) -> dict[str, object]:
    tracks = read_tracks(path)
    data = labelled(tracks)
    shipped = np.array([loitering.score(np.array(track.xy) / track.frame_width) for track in tracks])
    generator = np.random.default_rng(0)
    shuffled = generator.permutation(np.arange(len(tracks)) % FOLDS)
    blocks = np.arange(len(tracks)) // BLOCK % FOLDS
    return {
        "tracks": len(tracks),
        "loitering": int(data.loitering.sum()),
        "fitted_on_this_file": sha256_file(path) in loitering.shipped().fitted_on,
        "auc_shipped": round(auc(shipped, data.loitering), 4),
        "auc_cross_validated": round(cross_validated(data, shuffled), 4),
        "auc_cross_validated_by_scene": round(cross_validated(data, blocks), 4),
        "auc_dwell": round(auc(data.measures[:, 0], data.loitering), 4),
        "auc_dwell_by_extent": round(auc(data.measures[:, 0] - data.measures[:, 1], data.loitering), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracks", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="write the figures into benchmarks/results, with their conditions")
    arguments = parser.parse_args()
    found = measure(arguments.tracks)
    if arguments.keep:
        write("loitering", {"tracks": arguments.tracks.name, **found, "conditions": conditions("numpy", "scipy")})
        return
    print(json.dumps(found) if arguments.json else "\n".join(f"{name:<30} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
