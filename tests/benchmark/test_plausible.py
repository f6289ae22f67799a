"""A latency that cannot be, or that nothing explains, is flagged before anybody quotes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from latency import profile
from msgspec.structs import replace
from reports import ENGINE, ENVIRONMENT, METHOD, SUBJECT, make_result, make_run
from tiny import tiny_artifact

from edgekit.benchmark.report import Environment, Method
from edgekit.benchmark.statistics.plausible import Measured, doubts, measured
from edgekit.prediction import Work, save

CONV = Work(kind="conv", macs=1_000_000, reads=9_000, writes=1_000, weights=900)


@pytest.fixture(autouse=True)
def nobody_elses_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def one(ms: float, *works: Work, folder: str = "net", **changes: Any) -> Measured:
    result = make_result([make_run([ms] * 80)] * 2, subject=replace(SUBJECT, folder=folder), **changes)
    return Measured(result=result, works=works)


def said(
    row: Measured, others: Sequence[Measured] = (), environment: Environment = ENVIRONMENT, method: Method = METHOD
) -> list[str]:
    found = doubts(row, [row, *others], environment, method)
    assert all((flag.code, flag.severity) == ("implausible", "warning") for flag in found)
    return [flag.text for flag in found]


def calibrated(**changes: Any) -> Environment:
    """A profile that predicts a millisecond for a million products, and the machine that it is of."""
    here = {"cpu": "Test CPU", "runtime": "onnxruntime", "version": "1.2.3", "rates": {"products conv": 1e-6}}
    save(profile(**{**here, **changes}))
    return ENVIRONMENT


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert said(one(1e6, CONV)) == []
    assert said(one(1e-6)) == []


@pytest.mark.parametrize(("ms", "suspect"), [(0.2, True), (0.6, False), (1.0, False), (2.5, False), (4.0, True)])
def test_three_times_off_this_machine_s_calibration_is_suspect(ms: float, suspect: bool) -> None:
    here = calibrated()
    assert bool(said(one(ms, CONV), environment=here)) is suspect


def test_the_calibration_s_prediction_is_told_beside_the_measurement() -> None:
    (text,) = said(one(4.0, CONV), environment=calibrated())
    assert text.startswith("4.000 ms is 4.000 times the 1.000 ms that this machine's calibration predicts")


@pytest.mark.parametrize("other", [{"version": "9"}, {"threads": 1}, {"precision": "fp32"}, {"power_mode": "15W"}])
def test_a_calibration_of_another_set_up_says_nothing(other: dict[str, Any]) -> None:
    assert said(one(100.0, CONV), environment=calibrated(**other)) == []


def test_a_calibration_of_another_processor_says_nothing() -> None:
    assert said(one(100.0, CONV), environment=replace(calibrated(), cpu="Another CPU")) == []


def test_a_damaged_calibration_stops_no_benchmark(tmp_path: Path) -> None:
    calibrated()
    for file in (tmp_path / "config/edgekit/latency").iterdir():
        file.write_text("{}")
    assert said(one(100.0, CONV)) == []


def test_a_model_that_does_less_of_everything_and_takes_longer_is_suspect() -> None:
    more = replace_work(CONV, macs=2_000_000)
    small, large = one(3.0, CONV, folder="small"), one(2.0, more, folder="large")
    assert said(small, [large]) == [
        "3.000 ms is more than the 2.000 ms of large, which does no less of anything in the same engine"
    ]
    assert said(large, [small]) == []


def test_other_engines_and_threads_are_not_compared() -> None:
    more = replace_work(CONV, macs=2_000_000)
    assert said(one(3.0, CONV), [one(2.0, more, engine=replace(ENGINE, threads=8))]) == []


def test_faster_than_a_board_s_data_sheet_is_impossible() -> None:
    heavy = replace_work(CONV, macs=10**11)
    jetson = replace(SUBJECT, device="jetson-orin-nano", folder="net")
    result = make_result([make_run([0.5] * 80)] * 2, subject=jetson, engine=replace(ENGINE, runtime="tensorrt"))
    (text,) = said(Measured(result=result, works=(heavy,)))
    assert "that jetson-orin-nano takes at its peak rate" in text
    slower = replace(result, runs=(make_run([50.0] * 80),) * 2)
    assert said(Measured(result=slower, works=(heavy,))) == []


def test_a_queue_s_or_a_query_s_latency_is_not_that_of_one_inference() -> None:
    here = calibrated()
    for scenario in ("server", "offline", "multi-stream"):
        assert said(one(100.0, CONV), environment=here, method=replace(METHOD, scenario=scenario)) == []


@pytest.mark.parametrize("kind", ["onnx", "tflite-int8"])
def test_the_operators_are_read_from_the_artifact(kind: str, tmp_path: Path) -> None:
    result = make_result([make_run([1.0] * 80)] * 2)
    assert sum(work.macs for work in measured(tiny_artifact(tmp_path, kind), result).works) > 0


def test_a_dry_run_does_nothing_that_could_be_judged(tmp_path: Path) -> None:
    result = make_result([make_run([1.0] * 80)], engine=replace(ENGINE, runtime="dryrun"))
    assert measured(tiny_artifact(tmp_path, "onnx"), result).works == ()


def replace_work(work: Work, **changes: int) -> Work:
    fields = {name: getattr(work, name) for name in ("kind", "macs", "reads", "writes", "weights")}
    return Work(**{**fields, **changes})
