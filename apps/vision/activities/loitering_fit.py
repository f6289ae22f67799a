"""How `loitering.json` is made: `python -m edgekit.apps.vision.activities.loitering_fit TRACKS.jsonl.gz OUT.json`.

A ridge-penalised logistic regression over the measures of `loitering.py` and their products. Tracks are JSON objects a line:
`{"id", "loitering": 0|1, "xy": [[x, y], …]}`, a position a second in pixels of a frame `frame_width` wide (384 when not said).
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.activities.loitering import NAMES, Coefficients, expanded, measures
from edgekit.core.errors import InputError
from edgekit.core.files import sha256_file, write_atomically
from edgekit.core.optional import need

Floats = NDArray[np.float64]
PENALTY = 15.0
"""Half the squared weights times this is added to the summed loss (scikit-learn's C = 1/15)."""
FRAME_WIDTH = 384.0
LEAST = 1e-3
"""Deviation of what hardly differs among the tracks, so that nothing is divided by almost nothing."""


class Track(msgspec.Struct, frozen=True):
    """One line of the file."""

    id: int
    loitering: int
    xy: list[tuple[float, float]]
    frame_width: float = FRAME_WIDTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Measures [N, K] of N tracks and whether each loiters."""

    measures: Floats
    loitering: NDArray[np.bool_]


def read_tracks(path: Path) -> list[Track]:
    """The tracks of a JSON-lines file, gzipped or not. Raises `InputError` for what is none."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        tracks = [msgspec.json.decode(line, type=Track) for line in data.splitlines() if line.strip()]
    except (msgspec.MsgspecError, OSError, EOFError) as exc:
        raise InputError(f"{str(path)!r} holds no tracks: {exc}", "JSON objects with id, loitering and xy, one a line") from exc
    if not tracks or any(not track.xy or track.frame_width <= 0 for track in tracks):
        raise InputError(f"{str(path)!r} holds no track, or one without positions", "is it the right file?")
    return tracks


def labelled(tracks: Sequence[Track]) -> Labelled:
    """What the fit sees of the tracks."""
    rows = [measures(np.array(track.xy) / track.frame_width) for track in tracks]
    return Labelled(measures=np.array(rows), loitering=np.array([track.loitering == 1 for track in tracks]))


def fit(data: Labelled, penalty: float = PENALTY, fitted_on: str = "") -> Coefficients:
    """The regression."""
    mean, deviation = data.measures.mean(axis=0), np.maximum(data.measures.std(axis=0), LEAST)
    terms = expanded((data.measures - mean) / deviation)
    term_mean, term_deviation = terms.mean(axis=0), np.maximum(terms.std(axis=0), LEAST)
    weights = _minimised((terms - term_mean) / term_deviation, data.loitering, penalty)
    return Coefficients(
        names=NAMES,
        mean=_rounded(mean),
        deviation=_rounded(deviation),
        product_mean=_rounded(term_mean),
        product_deviation=_rounded(term_deviation),
        weights=_rounded(weights[1:]),
        bias=round(float(weights[0]), 6),
        fitted_on=fitted_on,
    )


def _minimised(terms: Floats, loitering: NDArray[np.bool_], penalty: float) -> Floats:
    signs = np.where(loitering, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margins = signs * (terms @ weights[1:] + weights[0])
        slope = -signs / (1 + np.exp(np.clip(margins, -30, 30)))
        gradient = np.concatenate([[slope.sum()], terms.T @ slope + penalty * weights[1:]])
        return float(np.logaddexp(0, -margins).sum() + penalty / 2 * (weights[1:] ** 2).sum()), gradient

    start = np.zeros(terms.shape[1] + 1)
    found = need("scipy.optimize").minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return np.asarray(found.x)


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def main(arguments: Sequence[str]) -> None:
    """Fit on the first argument, write the second."""
    source, out = (Path(argument) for argument in arguments)
    tracks = read_tracks(source)
    said = f"{source.name}, {len(tracks)} tracks, sha256 {sha256_file(source)}"
    rule = fit(labelled(tracks), fitted_on=said)
    write_atomically(out, msgspec.json.format(msgspec.json.encode(rule), indent=1) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
