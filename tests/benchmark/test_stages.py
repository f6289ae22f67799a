"""Where the time of an answer goes is told stage by stage, apart from the latencies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from reports import make_report, make_result, make_run
from tiny import SOURCE_IN, tiny_artifact

from edgekit.benchmark.process import stages as module
from edgekit.benchmark.process.stages import LEAST, RUNS, repeated, stages
from edgekit.benchmark.rendering.page import page
from edgekit.benchmark.rendering.plots import stage_parts
from edgekit.benchmark.rendering.text import markdown, terminal
from edgekit.benchmark.report import Stages
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.loading import open_artifact

FEED = {SOURCE_IN.name: np.zeros(SOURCE_IN.shape, np.float32)}
FOUND = Stages(picture=(1280, 720), runs=101, pre_ms=2.0, into_ms=0.25, infer_ms=4.0, out_ms=0.5, post_ms=1.0)


@pytest.mark.parametrize("kind", ["onnx", "tflite", "tflite-int8"])
def test_the_stages_of_any_engine_are_timed(kind: str, tmp_path: Path) -> None:
    with open_artifact(tiny_artifact(tmp_path, kind)) as session:
        found = stages(session, FEED)
    assert min(found.into_ms, found.infer_ms, found.out_ms) > 0
    assert LEAST <= found.runs <= RUNS + 1
    assert (found.picture, found.pre_ms, found.post_ms) == (None, None, None)


def test_the_steps_of_a_run_give_its_answer_and_add_up_to_its_time(tmp_path: Path) -> None:
    ticks = iter(range(0, 10**6, 10))
    with open_artifact(tiny_artifact(tmp_path, "tflite-int8")) as session:
        outputs, taken = session.run_in_steps(FEED, lambda: next(ticks))
        for name, array in session.run(FEED).items():
            np.testing.assert_array_equal(outputs[name], array)
    assert taken == (10, 30, 10), "five looks at the clock lie between the first and the last"


def test_a_model_that_takes_pictures_and_names_classes_has_every_stage(tmp_path: Path) -> None:
    artifact = tiny_artifact(tmp_path, "onnx")
    manifest = replace(
        artifact.manifest,
        preprocess=Preprocess(input=SOURCE_IN.name, height=4, width=4),
        postprocess=Postprocess(task="classification", head="classification", labels=tuple(map(str, range(32)))),
    )
    with open_artifact(replace(artifact, manifest=manifest)) as session:
        found = stages(session, FEED)
    assert found.picture == (1280, 720)
    assert found.pre_ms is not None
    assert found.post_ms is not None


def test_an_answer_that_cannot_be_read_has_no_stage_and_stops_nothing(tmp_path: Path) -> None:
    artifact = tiny_artifact(tmp_path, "onnx")
    manifest = replace(
        artifact.manifest,
        preprocess=Preprocess(input=SOURCE_IN.name, height=4, width=4),
        postprocess=Postprocess(task="classification", head="classification", labels=("one", "two")),
    )
    with open_artifact(replace(artifact, manifest=manifest)) as session:
        assert stages(session, FEED).post_ms is None


def test_a_slow_stage_is_timed_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    time = [0]

    def slow() -> None:
        time[0] += module.LIMIT_NS

    assert repeated(slow, lambda: time[0]) == [module.LIMIT_NS] * LEAST


def test_every_form_of_a_report_shows_the_stages() -> None:
    report = make_report(make_result([make_run([1.0] * 80, stages=FOUND)] * 2))
    for render in (terminal, markdown, page):
        text = render(report)
        for word in ("prepare", "to engine", "infer", "from engine", "read", "7.750"):
            assert word in text


@pytest.mark.parametrize("render", [terminal, markdown, page])
def test_a_report_without_stages_shows_none(render: Callable[..., str]) -> None:
    assert "to engine" not in render(make_report(make_result([make_run([1.0] * 80)])))


def test_a_stage_that_an_artifact_has_not_is_left_out() -> None:
    result = make_result([make_run([1.0] * 80, stages=replace(FOUND, pre_ms=None, post_ms=None))] * 2)
    assert dict(stage_parts(result)) == {"to engine": 0.25, "infer": 4.0, "from engine": 0.5}
