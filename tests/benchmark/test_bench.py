"""A real artifact is measured in real processes; what goes wrong there is said here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from reports import make_run

import edgekit
from edgekit.benchmark.measure import measure
from edgekit.benchmark.process import launch
from edgekit.benchmark.process.feeds import feed_for, random_input
from edgekit.benchmark.process.order import Done, Order, decode_answer, decode_order, encode
from edgekit.benchmark.report import Engine, Report, read
from edgekit.cli import main
from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError, NotFound, UsageError
from edgekit.core.progress import Event
from edgekit.core.schema import Artifact, Preprocess, TensorSpec

MakeArtifact = Callable[..., Artifact]
ORDER = Order(
    artifact="/nowhere",
    sha256="0" * 64,
    runtime="auto",
    threads=1,
    scenario="single-stream",
    rate_hz=None,
    duration_s=0.2,
    warmup_limit_s=0.1,
    minimum_samples=22,
)


def order_for(artifact: Artifact) -> Order:
    return replace(ORDER, artifact=str(artifact.path), sha256=artifact.sha256, runtime="dryrun")


@pytest.fixture
def report(make_artifact: MakeArtifact) -> Report:
    pytest.importorskip("onnxruntime")
    found: Report = edgekit.bench(make_artifact(golden=True).path, duration_s=0.2, restarts=2, threads=1)
    return found


def test_an_artifact_is_measured_with_its_conditions(report: Report) -> None:
    (result,) = report.results
    assert (result.engine.runtime, result.engine.threads, result.input) == ("onnxruntime", 1, "golden")
    assert result.on_target
    assert len(result.runs) == 2
    assert result.summary.samples == sum(len(run.latencies_ns) for run in result.runs) >= 64
    assert [found.level for found in result.summary.percentiles][:2] == [50.0, 90.0]
    assert all(run.load_ms > 0 and run.first_ms > 0 and run.warmup.runs > 0 for run in result.runs)
    assert result.subject.parity is not None


def test_memory_of_the_model_is_that_above_the_bare_process(report: Report) -> None:
    for run in report.results[0].runs:
        assert run.start_rss_bytes is not None
        assert run.peak_rss_bytes is not None
        assert run.start_rss_bytes < run.peak_rss_bytes < 4 << 30


def test_the_time_between_inferences_is_small(report: Report) -> None:
    """The loop's own work, sensors included, beside the timed calls."""
    for run in report.results[0].runs:
        outside_ns = (run.timed_s * 1e9 - sum(run.latencies_ns)) / len(run.latencies_ns)
        assert outside_ns < 50_000


def test_several_artifacts_are_measured_in_turns(make_artifact: MakeArtifact) -> None:
    asked: list[str] = []
    events: list[Event] = []

    def note(order: Order) -> Done:
        asked.append(Path(order.artifact).name)
        return Done(run=make_run([1.0] * 64), engine=Engine(runtime="onnxruntime", version="1", threads=1), input="random")

    paths = [make_artifact(name).path for name in ("a", "b")]
    options = {"scenario": "single-stream", "duration_s": 1.0, "rate_hz": None, "runtime": "auto", "threads": 0, "restarts": 2}
    found = measure(paths, **options, progress=events.append, launch=note)  # type: ignore[arg-type]
    assert asked == ["a.host.fp32", "b.host.fp32"] * 2
    assert [(event.done, event.total) for event in events] == [(count, 4) for count in range(5)]
    assert [result.subject.name for result in found.results] == ["a", "b"]


def test_an_artifact_for_a_jetson_measured_here_says_so(make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(device="jetson-orin-nano", runtime="tensorrt")
    found = edgekit.bench([artifact.path], duration_s=0.1, restarts=1, runtime="dryrun")
    assert not found.results[0].on_target
    assert [flag.code for flag in found.results[0].flags][:2] == ["off-target", "nothing-computed"]


def test_a_periodic_run_keeps_its_rate(make_artifact: MakeArtifact) -> None:
    found = edgekit.bench(make_artifact().path, scenario="periodic", rate_hz=200, duration_s=0.5, restarts=1, runtime="dryrun")
    (run,) = found.results[0].runs
    assert len(run.latencies_ns) + run.missed == pytest.approx(101, abs=3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scenario": "server"}, UsageError, "needs a latency bound"),
        ({"bound_ms": 5.0}, UsageError, "a latency bound belongs to scenario 'server'"),
        ({"scenario": "server", "rate_hz": 5.0, "bound_ms": 5.0}, UsageError, "not both"),
        ({"scenario": "server", "bound_ms": float("nan")}, UsageError, "positive number of milliseconds"),
        ({"duration_s": 0.0}, UsageError, "positive number of seconds, got 0"),
        ({"duration_s": float("nan")}, UsageError, "positive number of seconds, got nan"),
        ({"restarts": 0}, UsageError, "restarts must be 1 or more, got 0"),
        ({"threads": -1}, UsageError, "threads must be 0 (every core) or more, got -1"),
        ({"rate_hz": 5.0}, UsageError, "a rate belongs to scenario 'periodic' or 'server'"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(
    changes: dict[str, object], error: type[EdgekitError], message: str
) -> None:
    with pytest.raises(error) as caught:
        edgekit.bench("/nowhere", **changes)  # type: ignore[arg-type]
    assert message in caught.value.message


def test_nothing_to_measure_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        edgekit.bench([])


def test_an_artifact_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="no artifact at '/nowhere'"):
        edgekit.bench("/nowhere")


def test_a_refusal_in_the_measuring_process_arrives_as_the_error_it_was(make_artifact: MakeArtifact) -> None:
    with pytest.raises(NotFound, match="no runtime named 'onxruntime'") as caught:
        edgekit.bench(make_artifact().path, runtime="onxruntime", restarts=1)
    assert caught.value.hint == "did you mean 'onnxruntime'?"


def test_a_model_that_does_not_load_is_said(make_artifact: MakeArtifact) -> None:
    pytest.importorskip("onnxruntime")
    artifact = make_artifact()
    (artifact.path / "model.onnx").write_bytes(b"\0" * 10)
    with pytest.raises(ArtifactError):
        edgekit.bench(artifact.path, restarts=1)


def test_a_measuring_process_that_gives_no_answer_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "argv", lambda: [sys.executable, "-c", "print('drivers say hello')"])
    with pytest.raises(DeviceError, match="gave no answer"):
        launch.here(ORDER)


def test_a_measuring_process_that_was_killed_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "argv", lambda: [sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"])
    with pytest.raises(DeviceError, match="was killed by SIGSEGV"):
        launch.here(ORDER)


def test_what_an_engine_prints_on_stdout_does_not_spoil_the_answer(make_artifact: MakeArtifact) -> None:
    """The answer goes to a copy of stdout; whatever prints there lands on stderr."""
    order = order_for(make_artifact())
    chatty = "import os, edgekit.loading as l; o = l.open_artifact\n"
    chatty += "def f(*a, **k): os.write(1, b'chatter'); return o(*a, **k)\n"
    chatty += "l.open_artifact = f; from edgekit.benchmark import worker; worker.main()"
    done = subprocess.run(
        [sys.executable, "-c", chatty], input=encode(order), capture_output=True, text=True, check=True, timeout=60
    )
    assert isinstance(decode_answer(done.stdout), Done)
    assert done.stderr == "chatter"


def test_an_artifact_that_changed_in_between_is_not_measured(make_artifact: MakeArtifact) -> None:
    with pytest.raises(ArtifactError, match="is not what it was"):
        launch.here(replace(order_for(make_artifact()), sha256="0" * 64))


def test_modules_that_lie_in_the_current_folder_are_not_imported(
    make_artifact: MakeArtifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    order = order_for(make_artifact())
    assert launch.here(order).engine.runtime == "dryrun"


def test_orders_travel_as_json() -> None:
    assert decode_order(encode(ORDER)) == ORDER


def test_the_golden_sample_is_fed_when_there_is_one(make_artifact: MakeArtifact) -> None:
    feed, source = feed_for(make_artifact(golden=True))
    assert source == "golden"
    assert np.array_equal(feed["x"], np.ones((32, 32), np.float32))


def test_a_golden_file_that_is_not_one_is_refused(make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(golden=True)
    (artifact.path / "golden.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ArtifactError, match=r"golden file 'golden\.npz' has no first sample"):
        feed_for(artifact)


def test_random_input_is_the_same_every_time_and_fits_the_input(make_artifact: MakeArtifact) -> None:
    artifact = make_artifact()
    (first, source), (second, _) = feed_for(artifact), feed_for(artifact)
    assert source == "random"
    assert np.array_equal(first["x"], second["x"])
    assert (first["x"].shape, first["x"].dtype) == ((32, 32), np.float32)


def test_random_pictures_go_through_the_preprocessing_and_integers_are_a_valid_index() -> None:
    generator = np.random.default_rng(0)
    picture = TensorSpec(name="x", shape=(1, 3, 8, 8), dtype="float32")
    plan = Preprocess(input="x", height=8, width=8, scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    values = random_input(picture, plan, generator)
    assert -2 <= values.min() < -1.5
    assert 1.5 < values.max() <= 2
    assert not random_input(TensorSpec(name="ids", shape=(4,), dtype="int64"), plan, generator).any()


def test_bench_stays_the_function_whichever_module_was_imported_first() -> None:
    lines = "import edgekit.benchmark.report, edgekit; edgekit.bench; print(callable(edgekit.bench), edgekit.bench.__name__)"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "bench"]


def test_the_command_writes_every_form_and_prints_json(
    make_artifact: MakeArtifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"report{form}" for form in (".html", ".json", ".md")]
    options = [text for file in files for text in ("-o", str(file))]
    common = ["--runtime", "dryrun", "--duration", "0.05", "--restarts", "1", "--json"]
    assert main(["bench", str(make_artifact().path), *common, *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["results"][0]["engine"]["runtime"] == "dryrun"
    assert read(files[0]) == read(files[1])
    assert files[2].read_text().startswith("# Latency of matmul.host.fp32")


def test_a_report_in_a_form_that_there_is_not_is_refused_before_measuring(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "/nowhere", "-o", "report.pdf"]) == 2
    assert "a report cannot be written as 'report.pdf'" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_said(
    make_artifact: MakeArtifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    common = ["--runtime", "dryrun", "--duration", "0.05", "--restarts", "1"]
    assert main(["bench", str(make_artifact().path), *common, "-o", str(tmp_path / "file" / "report.json")]) == 1
    assert "could not write" in capsys.readouterr().err
