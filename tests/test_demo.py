"""`edgekit demo` does everything once on what is in the box; one run is shared by all these tests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgekit.demo.flow import LANES, flow
from edgekit.demo.page import page
from edgekit.demo.result import Demo, Failure
from edgekit.models import digits
from edgekit.pages import embedded_data

ENGINES = ("onnx", "onnxruntime", "ai_edge_litert", "PIL")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    for name in ENGINES:
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "edgekit", "demo", "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL), folder


@pytest.fixture(scope="module")
def result(ran: tuple[subprocess.CompletedProcess[str], Path]) -> dict[str, Any]:
    return json.loads(ran[0].stdout)


@pytest.fixture(scope="module")
def document(ran: tuple[subprocess.CompletedProcess[str], Path]) -> str:
    return (ran[1] / "edgekit-demo" / "index.html").read_text("utf-8")


def test_every_step_works_out_of_the_box(ran: tuple[subprocess.CompletedProcess[str], Path], result: dict[str, Any]) -> None:
    assert result["failed"] == []
    assert ran[0].returncode == 0, ran[0].stderr


def test_there_is_an_artifact_for_each_family_of_boards(result: dict[str, Any]) -> None:
    assert [made["target"] for made in result["artifacts"]] == ["jetson", "coral", "rpi", "cpu"]
    assert all(made["parity"]["ok"] for made in result["artifacts"])
    assert all(made["timing"]["median_ms"] > 0 for made in result["artifacts"])


def test_the_drawn_number_is_read(result: dict[str, Any]) -> None:
    assert result["picture"]["read"] == digits.NUMBER


def test_progress_goes_to_stderr_and_names_the_steps(ran: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    for step in ("convert for jetson", "convert for coral", "convert for rpi", "convert for cpu", "bench", "read a picture"):
        assert step in ran[0].stderr


def test_it_writes_into_one_folder_only(ran: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    assert [path.name for path in ran[1].iterdir()] == ["edgekit-demo"]


class _Requests(HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value for name, value in attrs if value and name in {"src", "href"} and not value.startswith("data:")]


def test_the_page_asks_nothing_of_the_network(document: str) -> None:
    requests = _Requests()
    requests.feed(document)
    assert requests.fetched == []
    assert "url(" not in document


def test_the_page_carries_its_own_result(document: str, result: dict[str, Any]) -> None:
    carried = embedded_data(document)
    assert carried is not None
    assert json.loads(carried) == result


def test_the_page_says_where_it_was_measured_and_what_is_unproven(document: str) -> None:
    assert "measured on this machine" in document
    assert "What this does not prove" in document
    assert "No board took part" in document


def test_a_failed_step_is_the_first_thing_on_the_page(result: dict[str, Any]) -> None:
    failure = Failure(step="convert for coral", error="op Tile is <not> mapped", hint="--allow-cpu-ops")
    shown = page(msgspec.structs.replace(msgspec.convert(result, Demo), failed=(failure,)), digits.number_picture())
    assert "op Tile is &lt;not&gt; mapped (try: --allow-cpu-ops)" in shown
    assert shown.index("What failed") < shown.index("What happened")


def test_a_second_demo_replaces_the_first(ran: tuple[subprocess.CompletedProcess[str], Path], result: dict[str, Any]) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "edgekit", "demo", "--json"], cwd=ran[1], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    second = json.loads(again.stdout)
    assert [made["sha256"] for made in second["artifacts"]] == [made["sha256"] for made in result["artifacts"]]


def test_a_step_that_fails_is_told_and_the_others_still_run(tmp_path: Path) -> None:
    """Without ONNX nothing can be converted: exit 4, a page that says so, and no artifact."""
    blocked = "import sys; sys.modules['onnxruntime'] = None\nfrom edgekit.cli import main\nraise SystemExit(main(['demo', '--json']))"
    done = subprocess.run([sys.executable, "-c", blocked], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    failed = json.loads(done.stdout)["failed"]
    assert failed[0]["step"] == "convert for jetson"
    assert "onnxruntime" in failed[0]["error"]
    assert "What failed" in (tmp_path / "edgekit-demo" / "index.html").read_text("utf-8")


def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "edgekit-demo").write_text("a file is in the way")
    done = subprocess.run([sys.executable, "-m", "edgekit", "demo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in {1, 4}
    assert "Traceback" not in done.stderr


def test_the_flow_picture_names_every_engine_and_says_itself_in_words() -> None:
    drawn = flow()
    assert all(lane.engine in drawn and lane.file in drawn for lane in LANES)
    assert "<title>A trained model is imported" in drawn
    assert re.search(r"https?://(?!www\.w3\.org/2000/svg)", drawn) is None
