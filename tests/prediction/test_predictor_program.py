"""`python benchmarks/predictor.py FILE` judges any file of published latencies of that form."""

from __future__ import annotations

import csv
import gzip
import io
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COLUMNS = (
    *("device", "power_mode", "model", "precision", "runtime", "runtime_version"),
    *("batch", "metric", "value", "unit", "source_ref"),
)
MODELS = [
    *(f"mobilenet-v{v}-{width}-{size}" for v in (1, 2) for width in ("0.25", "0.5", "0.75", "1.0") for size in (128, 160, 224)),
    *(f"efficientnet-lite{n}" for n in range(5)),
]
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="no benchmarks beside these tests")


def row(model: str, value: object, device: str = "board", **changes: str) -> dict[str, object]:
    fields = {
        "device": device,
        "power_mode": "",
        "precision": "fp32",
        "runtime": "tflite",
        "runtime_version": "2.11",
        "batch": "1",
        "metric": "latency_mean",
        "unit": "ms",
        "source_ref": "results_v9:open/Some/results/system/x",
    }
    return {**fields, "model": model, "value": value, **changes}


def by_work(rate: float = 1e-6, device: str = "board") -> list[dict[str, object]]:
    """Every model takes its products at one rate, and a little per operator."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from architectures import network
    finally:
        sys.path.remove(str(BENCHMARKS))
    made = {model: network(model) for model in MODELS}
    return [
        row(model, rate * sum(work.macs for work in found.works) + 0.01 * len(found.works), device)
        for model, found in made.items()
        if found is not None
    ]


def text_of(rows: Iterable[dict[str, object]], columns: Iterable[str] = COLUMNS) -> str:
    held = io.StringIO()
    writer = csv.DictWriter(held, list(columns), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return held.getvalue()


def judged(folder: Path, data: bytes | str, name: str = "file.csv.gz") -> subprocess.CompletedProcess[str]:
    file = folder / name
    plain = data.encode() if isinstance(data, str) else data
    file.write_bytes(gzip.compress(plain, mtime=0) if isinstance(data, str) and name.endswith(".gz") else plain)
    argv = [sys.executable, str(BENCHMARKS / "predictor.py"), str(file)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_latencies_that_follow_the_model_are_predicted_and_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    rows = by_work()
    said = judged(tmp_path, text_of(rows)).stdout
    assert "leave one out  MAPE  0.0%, 100% within 10 %" in said
    shuffled = random.Random(3).sample(rows, len(rows))
    again = random.Random(4).sample(list(COLUMNS), len(COLUMNS))
    assert judged(tmp_path, text_of(shuffled, again)).stdout == said
    assert judged(tmp_path, text_of(shuffled), "plain.csv").stdout == said


def test_any_device_runtime_and_precision_will_do(tmp_path: Path) -> None:
    rows = [*by_work(), *({**each, "device": "other", "runtime": "x", "precision": "int8"} for each in by_work(3e-6))]
    assert "all 2 set-ups, 58 predictions" in judged(tmp_path, text_of(rows)).stdout


def test_a_set_up_that_is_half_again_as_slow_as_its_peers_is_named_and_left_out(tmp_path: Path) -> None:
    slow = [{**each, "runtime_version": "master", "value": 2 * float(str(each["value"]))} for each in by_work()]
    said = judged(tmp_path, text_of([*by_work(), *slow])).stdout
    assert "left out: board · tflite · master · fp32 · v9 system: peers: 2.0 times as slow" in said
    assert "all 1 set-ups" in said


def test_a_set_up_whose_time_does_not_depend_on_the_model_is_named_and_left_out(tmp_path: Path) -> None:
    dice = random.Random(5)
    said = judged(tmp_path, text_of([{**each, "value": dice.uniform(1, 100)} for each in by_work()])).stdout
    assert "disorder:" in said
    assert "all 0 set-ups, 0 predictions" in said


def test_values_that_are_no_latency_are_counted_and_left_out(tmp_path: Path) -> None:
    damaged = [row("efficientnet-lite0", value) for value in ("", "n/a", "nan", "inf", "-3", "0")]
    done = judged(tmp_path, text_of([*by_work(), *damaged]))
    assert done.returncode == 0
    assert "left out: 6 lines whose value is no positive number of milliseconds" in done.stdout
    assert "all 1 set-ups, 29 predictions" in done.stdout


def test_a_file_that_was_cut_short_is_judged_by_what_is_left_or_refused(tmp_path: Path) -> None:
    whole = text_of(by_work())
    for share in (0.3, 0.8):
        done = judged(tmp_path, whole[: int(share * len(whole))])
        assert done.returncode == 0
        assert "set-ups" in done.stdout
        assert "Traceback" not in done.stderr
    packed = gzip.compress(whole.encode())
    cut = judged(tmp_path, packed[: len(packed) // 2])
    assert (cut.returncode, "Traceback" in cut.stderr) == (1, False)


@pytest.mark.parametrize(
    "data", [b"", b"\x1f\x8b\x08\x00 not gzip", gzip.compress(b"a,b\n1,2\n", mtime=0), gzip.compress(b"\xff\xfe", mtime=0)]
)
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path: Path, data: bytes) -> None:
    done = judged(tmp_path, data)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_models_nobody_knows_the_operators_of_are_named(tmp_path: Path) -> None:
    assert "models without known operators: resnet50" in judged(tmp_path, text_of([*by_work(), row("resnet50", 9.0)])).stdout
