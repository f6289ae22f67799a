"""A sweep: every cell tried, kept by content, compared; no cell stops another."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.artifact import read
from edgekit.cli import main
from edgekit.conversion.request import Pruning, Request
from edgekit.core.errors import NotFound, UsageError
from edgekit.core.progress import Event, silent
from edgekit.core.schema import Recipe
from edgekit.runtimes.onnxruntime import execute
from edgekit.sweep import sweep
from edgekit.sweep.backends import Crew, outcomes
from edgekit.sweep.cell import Row, Sweep
from edgekit.sweep.keys import cell_key, hash_of, pruned_key, source_key
from edgekit.sweep.pareto import front
from edgekit.sweep.run import _planned
from edgekit.sweep.store import found
from edgekit.sweep.work import Opening, Task
from tests.conversion.conftest import classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a file that is no model, and labelled pictures."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "good.onnx").write_bytes(classifier().SerializeToString())
    (folder / "bad.onnx").write_bytes(b"no model at all")
    rng, run = np.random.default_rng(3), execute(folder / "good.onnx")
    x = rng.integers(0, 256, (20, 32, 32, 3), np.uint8)
    feeds = (x.astype(np.float32) / 255).transpose(0, 3, 1, 2)
    np.savez(folder / "data.npz", x=x, y=np.array([run({"image": feed[None]})["probabilities"].argmax() for feed in feeds]))
    return folder


@pytest.fixture(scope="module")
def request_(folder: Path) -> Request:
    return Request(calibration=folder / "data.npz", evaluate=folder / "data.npz")


@pytest.fixture(scope="module")
def first(folder: Path, request_: Request) -> Sweep:
    """The sweep that the others find."""
    return swept(folder, request_)


def swept(folder: Path, request: Request, **more: object) -> Sweep:
    models, targets = (folder / "good.onnx", folder / "bad.onnx"), ("rpi", "coral")
    options = {"output": folder / "out", "request": request, "precisions": ("int8", "fp32"), **more}
    return sweep(models, targets, **options)  # type: ignore[arg-type]


def statuses(result: Sweep) -> list[tuple[str, str, str]]:
    return [(Path(row.record.wish.model).name, row.record.wish.precision, row.status) for row in result.rows]


def test_every_cell_is_in_the_result_and_a_failed_one_stops_no_other(first: Sweep, folder: Path) -> None:
    assert [status for _, _, status in statuses(first)] == ["made"] * 4 + ["failed"] * 4
    for row in first.rows[:4]:
        assert row.record.made is not None
        artifact = read(folder / "out" / row.record.made.folder)
        assert artifact.sha256 == row.record.made.sha256
        assert row.record.made.accuracy is not None
        assert row.record.latency is not None
        assert row.record.latency.median_ms is not None
        assert row.record.latency.median_ms > 0
    for row in first.rows[4:]:
        assert row.record.failed is not None
        assert "bad.onnx" in row.record.failed.error
    assert first.exit_code == 0


def test_the_same_inputs_are_found_again(first: Sweep, folder: Path, request_: Request) -> None:
    worked: list[Event] = []
    again = swept(folder, request_, progress=worked.append)
    assert [status for _, _, status in statuses(again)] == ["cached"] * 4 + ["failed"] * 4
    assert [row.record for row in again.rows] == [row.record for row in first.rows]
    assert not any(event.stage == "sweep" for event in worked)


def key(row: Row) -> str:
    return row.record.key


@pytest.mark.parametrize("damage", ["cut record", "noise", "another version", "no manifest"])
def test_a_damaged_cell_does_not_count(first: Sweep, folder: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(folder / "out", tmp_path / "out")
    record, made = tmp_path / "out" / "cells" / f"{key(first.rows[0])}.json", first.rows[0].record.made
    assert made is not None
    assert found(tmp_path / "out", key(first.rows[0])) == first.rows[0].record
    if damage == "no manifest":
        (tmp_path / "out" / made.folder / "manifest.json").unlink()
    else:
        whole = record.read_bytes()
        spoiled = {
            "cut record": whole[:-20],
            "noise": b"\xff" * 100,
            "another version": whole.replace(b'"version": 1', b'"version": 2'),
        }
        record.write_bytes(spoiled[damage])
    assert found(tmp_path / "out", key(first.rows[0])) is None


def test_a_damaged_cell_is_made_again(first: Sweep, folder: Path, request_: Request) -> None:
    made = first.rows[0].record.made
    assert made is not None
    (folder / "out" / made.folder / "model.tflite").write_bytes(b"x")
    again = swept(folder, request_)
    assert [status for _, _, status in statuses(again)][:4] == ["made", "cached", "cached", "cached"]
    assert again.rows[0].record.made == made


def test_other_data_are_other_cells(folder: Path, request_: Request) -> None:
    model = folder / "good.onnx"
    keys = {
        source_key(model, request_),
        source_key(model, replace(request_, calibration=None)),
        source_key(model, replace(request_, preprocess={"scale": 1.0})),
        source_key(model, replace(request_, evaluate=None)),
    }
    assert len(keys) == 4
    assert source_key(model, request_) in keys
    recipes = (Recipe(), Recipe(precision="int8"), Recipe(weights="per-tensor"), Recipe(max_steps=3))
    assert len({cell_key("a", replace(request_, recipe=recipe), "rpi5") for recipe in recipes}) == 4


def test_a_folders_hash_covers_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    before = hash_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert hash_of(tmp_path) != before
    assert hash_of(None) == hash_of(tmp_path / "nothing") == ""


def test_auto_is_every_precision_that_the_board_runs(folder: Path, request_: Request) -> None:
    from edgekit.core.profiles import find

    planned = list(_planned(folder / "good.onnx", [find("rpi")], ("auto", "int8"), request_))
    assert [task.wish.precision for task in planned] == ["int8", "fp16", "fp32"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_the_front_holds_what_nothing_beats(points: Sequence[tuple[int, int]]) -> None:
    chosen = front([(float(a), float(b)) for a, b in points])
    for point, good in zip(points, chosen, strict=True):
        beaten = any(a <= point[0] and b <= point[1] and (a, b) != point for a, b in points)
        assert good is not beaten
    assert any(chosen) or not points


def test_each_target_has_a_front_and_what_failed_is_on_none(first: Sweep) -> None:
    assert {row.record.wish.target for row in first.rows if row.pareto} == {row.record.wish.target for row in first.rows}
    assert not any(row.pareto for row in first.rows if row.record.failed)


def test_the_result_is_written_for_programs_terminals_and_people(first: Sweep, folder: Path) -> None:
    out = folder / "out"
    told = json.loads((out / "sweep.json").read_text())
    assert len(told["rows"]) == 8
    page, table = (out / "sweep.html").read_text(), (out / "sweep.md").read_text()
    assert page.count("<svg") == 2
    assert "no model at all" not in page
    assert "http" not in page.replace("http-equiv", "").replace("www.w3.org", "")
    assert "bad.onnx for rpi5 in int8" in table
    assert table.count("\n| ") >= 9


def tasks(folder: Path, request: Request) -> list[Task]:
    from edgekit.core.profiles import find

    planned = _planned(folder / "good.onnx", [find("rpi")], ("int8", "fp32"), request)
    return [task for task in planned if isinstance(task, Task)]


def test_processes_give_what_one_process_gives(folder: Path, request_: Request) -> None:
    pytest.importorskip("joblib")
    alone = {one.key: one.files for one in outcomes(tasks(folder, request_), Crew())}
    together = {one.key: one.files for one in outcomes(tasks(folder, request_), Crew(jobs=2))}
    assert alone == together
    assert all(files for files in alone.values())


def test_a_dask_cluster_gives_the_same(folder: Path, request_: Request) -> None:
    pytest.importorskip("joblib")
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    alone = {one.key: one.files for one in outcomes(tasks(folder, request_), Crew())}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        crew = Crew(backend="dask", jobs=-1, address=cluster.scheduler_address)
        assert {one.key: one.files for one in outcomes(tasks(folder, request_), crew)} == alone


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same(folder: Path, request_: Request) -> None:
    pytest.importorskip("joblib")
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    alone = {one.key: one.files for one in outcomes(tasks(folder, request_), Crew())}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        assert {one.key: one.files for one in outcomes(tasks(folder, request_), Crew(backend="ray", jobs=2))} == alone
    finally:
        ray.shutdown()


def test_a_bug_in_one_cell_is_a_reason_and_not_the_end(folder: Path, request_: Request) -> None:
    good, *_ = tasks(folder, request_)
    request = replace(request_, preprocess={"no_such_field": 1})
    wrong = Opening(key="b", model=good.opening.model, target="rpi", request=request)
    broken = replace(good, key="b", opening=wrong)
    failed, made = outcomes([broken, good], Crew())
    assert failed.failed is not None
    assert failed.failed.error.startswith("a bug in edgekit: ")
    assert made.files


def test_shares_to_prune_are_a_direction_of_the_table(folder: Path, request_: Request, tmp_path: Path) -> None:
    model = folder / "good.onnx"
    result = sweep([model], ["rpi"], output=tmp_path, request=request_, precisions=("fp32",), prunes=(0.0, 0.1, 0.1))
    assert [row.record.wish.prune for row in result.rows] == [0.0, 0.1]
    assert [row.record.failed for row in result.rows] == [None, None]
    whole, pruned = (row.record.made for row in result.rows)
    assert whole is not None
    assert pruned is not None
    assert pruned.bytes < whole.bytes
    assert "10 %" in (tmp_path / "sweep.md").read_text()


def test_a_killed_sweep_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    options = ["--target", "rpi,coral", "--precision", "int8,fp32", "--calibration", str(folder / "data.npz")]
    command = ["convert", str(folder / "good.onnx"), "--sweep", *options, "-o", str(tmp_path / "out"), "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "edgekit", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as going:
        cells = tmp_path / "out" / "cells"
        while going.poll() is None and not (cells.is_dir() and any(cells.glob("*.json"))):
            pass
        going.send_signal(signal.SIGKILL)
    there = {path.name for path in cells.glob("*.json")}
    done = subprocess.run([sys.executable, "-m", "edgekit", *command], capture_output=True, text=True, check=False)
    rows = json.loads(done.stdout)["artifacts"]
    assert done.returncode == 0
    assert len(rows) == 4
    assert 1 <= sum(row["status"] == "cached" for row in rows) <= len(there)


def test_what_makes_no_sweep_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no device named 'rpj'"):
        sweep([folder / "good.onnx"], ["rpj"], output=tmp_path)
    with pytest.raises(UsageError, match="needs a model"):
        sweep([], ["rpi"], output=tmp_path)
    with pytest.raises(UsageError, match="no backend 'daks'"):
        sweep([folder / "good.onnx"], ["rpi"], output=tmp_path, crew=Crew(backend="daks"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 jobs does nothing"):
        sweep([folder / "good.onnx"], ["rpi"], output=tmp_path, crew=Crew(jobs=0))
    with pytest.raises(UsageError, match="cannot send a list"):
        sweep([folder / "good.onnx"], ["rpi"], output=tmp_path, request=Request(calibration=[1]), progress=silent)


def test_the_command_prints_a_table_and_ends_well_when_anything_was_made(
    first: Sweep, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--calibration", str(folder / "data.npz"), "--evaluate", str(folder / "data.npz")]
    models = [str(folder / "good.onnx"), str(folder / "bad.onnx")]
    out = ["--precision", "int8,fp32", "-o", str(folder / "out")]
    assert main(["convert", *models, "--target", "rpi,coral", "--sweep", *data, *out]) == 0
    said = capsys.readouterr().out
    assert said.count("(cached)") == 4
    assert said.count("failed: bad.onnx for") == 4
    assert (
        main(["convert", models[1], "--target", "rpi", "--sweep", *data, "--precision", "fp32", "-o", str(folder / "b")]) == 1
    )


def test_forms_of_a_model_that_were_pruned_otherwise_are_told_apart() -> None:
    one = Pruning(share=0.3)
    others = (replace(one, share=0.2), replace(one, importance="weights"), replace(one, multiples=(16, 8)))
    assert len({pruned_key("source", each) for each in (None, one, *others)}) == 5
    assert pruned_key("source", None) == "source"
    assert pruned_key("source", one) == pruned_key("source", replace(one))
