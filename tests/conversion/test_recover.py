"""The budget search: few layers in float, as few trials as it takes, and the numbers when nothing helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import artifact as artifacts
from edgekit.cli import main
from edgekit.conversion import convert
from edgekit.conversion.bisection import smallest_that_holds
from edgekit.core.errors import GateFailed
from edgekit.core.progress import Event
from tests.conversion.test_convert import labelled_folder


@given(count=st.integers(1, 500), least=st.integers(1, 600))
def test_the_smallest_number_that_holds_is_found_in_two_logarithms(count: int, least: int) -> None:
    asked: list[int] = []

    def holds(k: int) -> bool:
        asked.append(k)
        return k >= least

    found = smallest_that_holds(count, holds, trials=1000)
    assert found == (least if least <= count else None)
    assert len(asked) <= 2 * min(least, count).bit_length() + 1
    assert len(set(asked)) == len(asked)


@given(count=st.integers(0, 500), least=st.integers(1, 500), trials=st.integers(0, 12))
def test_the_search_never_asks_more_often_than_it_may_and_answers_only_what_it_saw(count: int, least: int, trials: int) -> None:
    seen: dict[int, bool] = {}
    found = smallest_that_holds(count, lambda k: seen.setdefault(k, k >= least), trials)
    assert len(seen) <= trials
    assert found == min((k for k, good in seen.items() if good), default=None)


@pytest.fixture
def poor(samples: list) -> list:
    """Calibration data a fiftieth as bright as the real pictures: every range is far too narrow."""
    return [{"image": 0.02 * sample["image"]} for sample in samples]


@pytest.mark.parametrize("target", ["rpi", "cpu", "jetson"])
def test_int8_that_misses_the_budget_is_rescued(model: Path, poor: list, tmp_path: Path, target: str) -> None:
    data, said = labelled_folder(tmp_path / "data", model), list[Event]()
    made = convert(
        model,
        target=target,
        precision="int8",
        calibration=poor,
        evaluate=data,
        max_drop=0.0,
        output=tmp_path / "out",
        progress=said.append,
    )
    manifest = made.manifest
    assert manifest.target.precision == "mixed"
    assert made.path.name.endswith(".mixed")
    assert manifest.accuracy is not None
    assert manifest.accuracy.ok
    assert manifest.recovery is not None
    assert manifest.recovery.steps[-1].blocks <= manifest.recovery.blocks
    assert any(step.ok for step in manifest.recovery.steps)
    assert {layer.name for layer in manifest.recovery.layers} <= set(manifest.float_layers)
    assert sum(layer.macs_share for layer in manifest.recovery.layers) == pytest.approx(manifest.recovery.macs_share, abs=1e-3)
    assert any(note.startswith("int8 was tried first") for note in manifest.notes)
    reports = [event.stage for event in said if event.stage.startswith("float: ")]
    assert len(reports) == len(manifest.recovery.steps)


def test_a_rescued_artifact_is_the_same_bytes_every_time(model: Path, poor: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    first, second = (
        convert(model, target="rpi", calibration=poor, evaluate=data, max_drop=0.0, output=tmp_path / name) for name in "ab"
    )
    assert first.sha256 == second.sha256
    assert artifacts.read(first.path).manifest.recovery == second.manifest.recovery


def test_the_edge_tpu_cannot_mix_and_says_so(model: Path, poor: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    with pytest.raises(GateFailed, match="the Edge TPU computes in int8 only") as caught:
        convert(model, target="coral", calibration=poor, evaluate=data, max_drop=0.0, output=tmp_path / "out")
    assert "tflite" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_when_no_plan_holds_every_number_is_said_and_nothing_is_written(model: Path, poor: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    with pytest.raises(GateFailed, match=r"no plan of mixed precision holds after 1 steps: float: 1 of \d+ blocks") as caught:
        convert(
            model,
            target="rpi",
            precision="int8",
            calibration=poor,
            evaluate=data,
            max_drop=0.0,
            max_steps=1,
            output=tmp_path / "out",
        )
    assert caught.value.exit_code == 4
    assert caught.value.hint == "--max-steps 2"
    assert not (tmp_path / "out").exists()


def test_int8_that_holds_is_not_touched(model: Path, samples: list, tmp_path: Path) -> None:
    made = convert(model, target="rpi", precision="mixed", calibration=samples, output=tmp_path / "out")
    assert made.manifest.target.precision == "int8"
    assert made.manifest.recovery is None


def test_the_command_line_names_the_layers_and_their_price(
    model: Path, poor: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    data = labelled_folder(tmp_path / "data", model)
    np.savez(tmp_path / "poor.npz", image=np.concatenate([sample["image"] for sample in poor]))
    options = ["--target", "rpi", "--calibration", str(tmp_path / "poor.npz"), "--evaluate", str(data), "--max-drop", "0%"]
    plainly = ["--weights", "per-tensor", "--ranges", "min-max", "--calibration-limit", "8"]
    assert main(["convert", str(model), *options, *plainly, "-o", str(tmp_path / "a")]) == 0
    said = capsys.readouterr()
    assert "% of the arithmetic" in said.out
    assert "ms in litert here" in said.out
    assert "not enough" in said.err
    assert main(["convert", str(model), *options, *plainly, "-o", str(tmp_path / "b"), "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["artifacts"]
    assert made["precision"] == "mixed"
    assert made["recovery"]["layers"]
    assert made["float_cost"]["runtime"] == "litert"
    assert {"int8_ms", "mixed_ms", "runs"} <= set(made["float_cost"])
