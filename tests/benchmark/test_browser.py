"""The page in a real browser: it shows everything and asks the network for nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from reports import SUBJECT, make_report, make_result, make_run

import edgekit
from edgekit.benchmark.rendering.page import page
from edgekit.benchmark.rendering.words import duration
from edgekit.benchmark.report import Energy, Reading, Report, Stages
from edgekit.benchmark.statistics.summarise import median_ms
from edgekit.models import digits

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-extensions --hide-scrollbars"
)
WARM = tuple(Reading(at_s=float(i), temperature_c=45.0 + i) for i in range(6))
STAGES = Stages(picture=(1280, 720), runs=101, pre_ms=2.0, into_ms=0.2, infer_ms=1.1, out_ms=0.1, post_ms=0.4)
SPENT = Energy(meter="VDD_IN (ina3221)", readings_w=(5.0, 7.0), mean_w=6.0, seconds=2.0, inferences=1000, mj_per_inference=12.0)
RUNS = [
    make_run([1 + 0.01 * ((i * seed) % 13) for i in range(700)], readings=WARM, stages=STAGES, energy=SPENT)
    for seed in (3, 5, 7)
]


@pytest.fixture
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here")
    return found


def opened(browser: str, file: Path, folder: Path, *options: str) -> str:
    argv = [browser, *QUIET.split(), f"--user-data-dir={folder / 'profile'}", *options, file.as_uri()]
    quiet = {**os.environ, "HOME": str(folder)}
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120, env=quiet).stdout


def opened_and_asked(browser: str, file: Path, folder: Path) -> tuple[str, set[str]]:
    """The document as the browser sees it, and the hosts that the browser asked, its own affairs included."""
    log = folder / f"{file.stem}.net.json"
    shown = opened(browser, file, folder, "--dump-dom", f"--log-net-log={log}")
    urls = (event.get("params", {}).get("url", "") for event in json.loads(log.read_text())["events"])
    return shown, {host for url in urls if (host := urlsplit(url).netloc)}


def three() -> Report:
    """A report of three models, one of which was not on its board."""
    boards = [replace(SUBJECT, folder=f"{name}.rpi5.int8", device="rpi5") for name in ("detector", "faces", "digits")]
    return make_report(*(make_result(RUNS, on_target=index != 1, subject=board) for index, board in enumerate(boards)))


@pytest.mark.slow
def test_the_page_opens_offline_shows_everything_and_requests_nothing(browser: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(three()))
    shown, asked = opened_and_asked(browser, file, tmp_path)
    assert shown.count("<svg") == 2 + 2 * 3, "the comparison, the stages, and a distribution and a course for each"
    for text in (
        *("detector.rpi5.int8", "p99", "HOST RUN, not rpi5", "Conditions", "Method", "onnxruntime 1.2.3, 4 threads"),
        *("Stages", "prepare", "Energy", "VDD_IN (ina3221)", "°C"),
    ):
        assert text in shown
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>empty</title>")
    assert asked <= opened_and_asked(browser, empty, tmp_path)[1]


@pytest.mark.slow
def test_the_page_draws_its_charts_in_colour_at_any_width(browser: str, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    from edgekit.tasks.pictures.images import read_image

    file = tmp_path / "report.html"
    file.write_text(page(three()))
    for width in (500, 1100):
        opened(browser, file, tmp_path, f"--window-size={width},2400", f"--screenshot={tmp_path / 'seen.png'}")
        seen = read_image(tmp_path / "seen.png").astype(int)
        assert seen.shape[:2] == (2400, width)
        for colour in ((0x0B, 0x6B, 0xCB), (0xC2, 0x57, 0x1A), (0x2F, 0x8F, 0x5B)):
            assert (abs(seen - colour).max(axis=2) < 3).sum() > 50, f"{colour} is nowhere at {width} pixels"


@pytest.mark.slow
def test_a_report_of_three_real_models_shows_each_as_it_was_measured(browser: str, tmp_path: Path, shared_data: Path) -> None:
    model = shared_data / "models_onnx" / "ultraface_version-RFB-320.onnx"
    faces = edgekit.convert(model, target="host", precision="fp32", output=tmp_path).path
    report = edgekit.bench([*digits.artifacts(), faces], duration_s=0.5, restarts=2)
    file = tmp_path / "report.html"
    file.write_text(page(report), "utf-8")
    shown = opened(browser, file, tmp_path, "--dump-dom")
    assert shown.count("<svg") == 2 + 2 * 3
    for result in report.results:
        assert result.subject.folder in shown and result.subject.sha256 in shown
        assert duration(median_ms(*result.runs)) in shown
        assert result.summary.samples >= 64 and f"{result.summary.samples:,} samples" in shown


@pytest.mark.slow
def test_the_page_prints(browser: str, tmp_path: Path) -> None:
    file, printed = tmp_path / "report.html", tmp_path / "report.pdf"
    file.write_text(page(three()))
    opened(browser, file, tmp_path, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    data = printed.read_bytes()
    assert data[:5] == b"%PDF-"
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 12
