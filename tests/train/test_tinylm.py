"""The recipe of the tiny language model: it learns, keeps its best, and what was trained elsewhere is exported here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs PyTorch")
pytest.importorskip("gguf", reason="the model is written with the package gguf")

import torch

from edgekit.core.errors import InputError
from edgekit.train.tinylm import MODEL, REPORT, export_tinylm, train_tinylm, versions
from edgekit.train.tinylm_loop import Kept, TinySettings, learning_share, parted, trained
from edgekit.train.tinylm_network import Sizes

SIZES = Sizes(vocabulary=300, dim=32, layers=1, heads=2, kv_heads=1, feed_forward=64, context=32)
SETTINGS = TinySettings(steps=30, batch=4, learning_rate=1e-2, threads=1, sizes=SIZES)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "rhyme.txt"
    lines = [
        f"the {size} cat sat on the {place} and saw the {size} moon" for size in ("big", "old") for place in ("mat", "hill")
    ]
    path.write_text("\n".join(lines * 150), "utf-8")
    return path


@pytest.fixture(scope="module")
def made(text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Any]]:
    out = tmp_path_factory.mktemp("made")
    return out, train_tinylm(text, out, SETTINGS)


def test_it_learns_and_says_how_well(made: tuple[Path, Mapping[str, Any]]) -> None:
    out, report = made
    assert report["loss"]["validation"] < 4  # an untrained one has ln 300 = 5.7
    assert report["model"]["largest_difference_from_torch"] < 1e-3
    assert report["model"]["bytes"] == (out / MODEL).stat().st_size
    assert json.loads((out / REPORT).read_text())["data"] == report["data"]


def test_the_same_text_and_settings_give_the_same_file(
    text: Path, tmp_path: Path, made: tuple[Path, Mapping[str, Any]]
) -> None:
    train_tinylm(text, tmp_path, SETTINGS)
    assert (tmp_path / MODEL).read_bytes() == (made[0] / MODEL).read_bytes()


def test_by_the_clock_the_best_so_far_is_told_while_it_runs() -> None:
    told: list[Kept] = []
    settings = TinySettings(seconds=0.5, batch=2, sizes=SIZES, threads=1)
    tokens = torch.arange(4000) % 300
    last = trained(*parted(tokens), settings, every_s=0.05, looked=told.append)
    assert len(told) >= 2 and told[-1] is last and last.seconds >= 0.5
    assert last.validation == min(one.validation for one in told)


def test_what_is_measured_on_comes_from_all_over_the_text_and_is_not_learnt_from() -> None:
    learnt, held = parted(torch.arange(1_000_000))
    assert len(learnt) + len(held) == 1_000_000 and not set(held.tolist()) & set(learnt.tolist())
    assert len(held) == 12 * 4096 and held.max() - held.min() > 800_000


def test_the_learning_rate_rises_and_falls() -> None:
    shares = [learning_share(at / 100, 0.05) for at in range(101)]
    assert 0 < shares[0] < shares[3] < shares[5] == max(shares) and shares[5] == pytest.approx(1.0)
    assert shares[5] > shares[50] > shares[100] > 0


def test_weights_trained_elsewhere_are_exported_for_the_same_text_only(
    text: Path, tmp_path: Path, made: tuple[Path, Mapping[str, Any]]
) -> None:
    settings = json.loads(json.dumps(asdict(SETTINGS)))
    kept = trained(*parted(_tokens(text)), SETTINGS)
    fields = {name: getattr(kept, name) for name in ("weights", "train", "validation", "kept_at_step", "steps", "seconds")}
    whole = {"settings": settings, "data": made[1]["data"], "versions": versions(), "kept": fields}
    torch.save(whole, tmp_path / "weights.pt")
    report = export_tinylm(tmp_path / "weights.pt", text, tmp_path / "out")
    assert report["model"]["sha256"] == made[1]["model"]["sha256"]
    other = tmp_path / "other.txt"
    other.write_text(text.read_text("utf-8") + "\nmore", "utf-8")
    with pytest.raises(InputError, match="trained on other files"):
        export_tinylm(tmp_path / "weights.pt", other, tmp_path / "again")


def _tokens(text: Path) -> Any:
    from edgekit.train.tinylm import corpus_of

    return corpus_of(text, SIZES).tokens
