"""Loitering: what a path looks like."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.apps.vision.activities.loitering import LONGEST, NAMES, PathKeeper, measures, score, shipped
from edgekit.apps.vision.activities.loitering_fit import fit, labelled, read_tracks
from edgekit.core.errors import InputError


def test_pacing_about_scores_higher_than_passing_by() -> None:
    generator = np.random.default_rng(0)
    passing = np.stack([np.linspace(0.0, 0.9, 40), np.full(40, 0.4)], axis=1)
    pacing = np.array([0.5, 0.4]) + 0.03 * np.cumsum(generator.normal(0, 0.15, (110, 2)), axis=0).clip(-1, 1)
    assert score(passing) < 0.2 < 0.5 < score(pacing)


@pytest.mark.parametrize("path", [[(0.5, 0.5)], [(0.5, 0.5)] * 2, [(0.5, 0.5)] * 500, [(0.0, 0.0), (1.0, 1.0)]])
def test_any_path_has_finite_measures(path: list[tuple[float, float]]) -> None:
    found = measures(np.array(path))
    assert len(found) == len(NAMES) == len(shipped().names)
    assert np.isfinite(found).all() and 0 <= score(np.array(path)) <= 1


def test_a_path_is_kept_once_a_second_and_no_longer_than_two_minutes() -> None:
    keeper = PathKeeper()
    kept = sum(keeper.add(0.1, 0.2, step / 10) for step in range(3000))
    assert (kept, len(keeper.path)) == (300, LONGEST)


def test_the_fit_is_the_same_every_time_and_tells_what_it_was_made_of(tmp_path: Path) -> None:
    generator, lines = np.random.default_rng(1), []
    for number in range(80):
        loiters = number % 2
        steps = generator.normal(0 if loiters else 3, 1, (30, 2))
        lines.append(json.dumps({"id": number, "loitering": loiters, "xy": (100 + np.cumsum(steps, axis=0)).round(1).tolist()}))
    file = tmp_path / "tracks.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    data = labelled(read_tracks(file))
    one, other = fit(data), fit(data)
    assert one == other
    scores = np.array([score(np.array(track.xy) / 384, one) for track in read_tracks(file)])
    assert scores[data.loitering].mean() - scores[~data.loitering].mean() > 0.5


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"id": 1, "loitering": 0, "xy": []}', b"\x1f\x8bjunk"])
def test_what_holds_no_tracks_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tracks.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError):
        read_tracks(file)


def test_the_shipped_rule_separates_the_published_tracks(shared_data: Path) -> None:
    tracks = read_tracks(shared_data / "tracks" / "loitering_tracks.jsonl.gz")[:600]
    scores = np.array([score(np.array(track.xy) / track.frame_width) for track in tracks])
    positive = np.array([track.loitering == 1 for track in tracks])
    order = np.sort(scores[~positive])
    auc = float(np.searchsorted(order, scores[positive]).mean() / len(order))
    assert auc > 0.85
