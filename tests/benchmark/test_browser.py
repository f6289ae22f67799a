"""The page in a real browser: it shows everything and asks the network for nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from reports import SUBJECT, make_report, make_result, make_run

from edgekit.benchmark.page import page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-extensions --hide-scrollbars"
)
RUNS = [make_run([1 + 0.01 * ((i * seed) % 13) for i in range(700)]) for seed in (3, 5, 7)]


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


@pytest.mark.slow
def test_the_page_opens_offline_shows_everything_and_requests_nothing(browser: str, tmp_path: Path) -> None:
    off_target = make_result(RUNS, on_target=False, subject=replace(SUBJECT, device="rpi5", folder="net.rpi5.int8"))
    file = tmp_path / "report.html"
    file.write_text(page(make_report(make_result(RUNS), off_target)))
    shown, asked = opened_and_asked(browser, file, tmp_path)
    assert shown.count("<svg") == 5
    for text in ("net.host.int8", "p99", "HOST RUN, not rpi5", "Conditions", "Method", "onnxruntime 1.2.3, 4 threads"):
        assert text in shown
    empty = tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>empty</title>")
    assert asked <= opened_and_asked(browser, empty, tmp_path)[1]


@pytest.mark.slow
def test_the_page_prints(browser: str, tmp_path: Path) -> None:
    file, printed = tmp_path / "report.html", tmp_path / "report.pdf"
    file.write_text(page(make_report(make_result(RUNS))))
    opened(browser, file, tmp_path, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    assert printed.read_bytes()[:5] == b"%PDF-"
