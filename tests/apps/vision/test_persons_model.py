"""The person detector in the box: small, described truly, and good for what its card says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.apps.vision.frames import from_rgb
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.core.files import sha256_file
from edgekit.models.persons import CARD, FOLDER, SCORES, artifacts, card, model_path

LARGEST_BYTES = 1_500_000


def test_the_artifact_is_smaller_than_a_megabyte_and_a_half() -> None:
    (artifact,) = artifacts()
    assert sum(file.stat().st_size for file in artifact.glob("model.*")) < LARGEST_BYTES
    assert json.loads(CARD.read_bytes())["model"]["parameters"] <= 1_000_000


def test_the_card_is_that_of_this_model_and_of_what_was_measured() -> None:
    report, scores = json.loads(CARD.read_bytes()), json.loads(SCORES.read_bytes())
    assert report["model"]["sha256"] == sha256_file(model_path())
    assert (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8") == card.render(report, scores)


def test_what_ships_came_nearer_to_its_teacher_or_is_the_beginning() -> None:
    report = json.loads(CARD.read_bytes())
    if report["kept"] == "trained":
        held, weights = report["held_back"], {"scores": 1.0} | {name: report["recipe"][name] for name in ("boxes", "likeness")}
        before, after = (sum(weights[name] * held[when][name] for name in weights) for when in ("before", "after"))
        assert held["pictures"] > 0 and report["steps"] > 0
        assert after < before


def test_a_card_of_a_run_that_was_not_kept_says_that_nothing_was_learnt() -> None:
    report, scores = json.loads(CARD.read_bytes()), json.loads(SCORES.read_bytes())
    losses = {"scores": 0.5, "boxes": 0.25, "likeness": 0.125}
    worse = {"steps": 70, "kept": "beginning", "held_back": {"pictures": 12, "before": losses, "after": losses}}
    told = card.render(report | worse, scores)
    assert "not trained any further" in told and "not kept" in told and "scores 0.5000 before" in told
    assert "What training added" not in told


def test_nobody_is_seen_in_an_empty_room() -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    room = np.full((240, 320, 3), 190, np.uint8)
    room[160:] = (120, 100, 80)
    with opened(artifacts()[0], threads=1) as session:
        assert not (Detector(session)(from_rgb(room, number=0, time_s=0.0)).scores >= 0.4).any()


def test_a_man_in_a_portrait_is_found(shared_data: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    from edgekit.tasks.pictures.images import read_image

    with opened(artifacts()[0], threads=1) as session:
        detector = Detector(session)
        found = detector(from_rgb(read_image(shared_data / "images_coral" / "grace_hopper.bmp"), number=0, time_s=0.0))
    assert detector.labels == ("person",)
    assert found.scores.max() > 0.5
