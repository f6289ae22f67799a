"""Reports travel as JSON or inside their own page, and are read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from reports import ENVIRONMENT, METHOD, SUBJECT, make_report, make_result, make_run

from edgekit.benchmark.rendering.page import page
from edgekit.benchmark.rendering.tables import aligned
from edgekit.benchmark.rendering.text import markdown, terminal
from edgekit.benchmark.rendering.words import digits, duration, size
from edgekit.benchmark.report import Report, encode, read, write
from edgekit.benchmark.scenarios import checked_scenario, rate_for
from edgekit.benchmark.statistics.summarise import summarise
from edgekit.core.errors import InputError, NotFound, UsageError

RUNS = [make_run([1 + 0.01 * (i % 7) for i in range(300)]) for _ in range(3)]
HOSTILE = "<script>alert(1)</script> | & net"
OFF_TARGET = make_result(RUNS, on_target=False, subject=replace(SUBJECT, device="rpi5", folder="net.rpi5.int8"))


@pytest.mark.parametrize("render", [encode, page])
def test_a_report_is_read_back_as_it_was_from_json_and_from_its_page(render: Callable[[Report], str], tmp_path: Path) -> None:
    report = make_report(make_result(RUNS), OFF_TARGET)
    write(tmp_path / "report", render(report))
    assert read(tmp_path / "report") == report


def test_a_report_that_is_absent_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no report at .*none.json"):
        read(tmp_path / "none.json")


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(encode(make_report(make_result(RUNS)))), **changes})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a benchmark report"),
        ("not json", "not a benchmark report"),
        ("{}", "not a benchmark report"),
        ("<html><body>hello</body></html>", "not a benchmark report"),
        (changed(surprise=1), "unknown field `surprise`"),
        (changed(results=[]), "length >= 1"),
        (changed(created=3), "Expected `str`"),
        (changed(schema_version=99), "newer edgekit"),
    ],
)
def test_what_is_not_a_report_is_refused_with_the_reason(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read(file)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "report.json"
    file.write_bytes(data)
    with pytest.raises(InputError):
        read(file)


def test_a_report_fits_its_json_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    plain = json.loads(encode(make_report(make_result(RUNS), OFF_TARGET)))
    jsonschema.validate(plain, msgspec.json.schema(Report))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain, "created": 1}, msgspec.json.schema(Report))


def test_every_field_is_written_even_when_it_is_null() -> None:
    written = json.loads(encode(make_report(make_result([make_run([1.0] * 5, peak_rss_bytes=None)]))))
    assert written["results"][0]["summary"]["peak_rss_bytes"] is None
    assert written["results"][0]["summary"]["restart_spread"] is None


def test_a_summary_pools_the_runs_and_keeps_what_differs_between_them() -> None:
    summary = summarise([make_run([1.0] * 40), make_run([2.0] * 40)])
    assert (summary.samples, summary.mean_ms, summary.minimum_ms, summary.maximum_ms) == (80, 1.5, 1.0, 2.0)
    assert (summary.restart_medians_ms, summary.restart_spread) == ((1.0, 2.0), 1.0)
    assert summary.throughput_per_s == pytest.approx(666.667)
    assert summarise([make_run([1.0] * 40)], query=0).throughput_per_s is None
    assert summarise([make_run([1.0] * 40)], query=8).throughput_per_s == pytest.approx(8000)
    found = [make_run([1.0] * 40, rate_hz=rate) for rate in (90.0, 80.0)]
    assert summarise(found, query=0).throughput_per_s == 80.0
    assert summary.model_rss_bytes == 50 << 20


@pytest.mark.parametrize("render", [terminal, markdown, page])
def test_every_form_says_loudly_that_a_board_was_not_there(render: Callable[[Report], str]) -> None:
    assert "HOST RUN, not rpi5" in render(make_report(make_result(RUNS), OFF_TARGET))


@pytest.mark.parametrize("render", [terminal, markdown, page])
def test_every_form_says_when_there_are_too_few_samples_for_a_percentile(render: Callable[[Report], str]) -> None:
    text = render(make_report(make_result([make_run([1.0] * 20)] * 3)))
    assert "needs 662" in text


@pytest.mark.parametrize("count", [1, 2, 11, 2000])
def test_every_form_is_made_from_any_number_of_samples(count: int) -> None:
    report = make_report(make_result([make_run([0.5] * count, readings=())]))
    for render in (terminal, markdown, page):
        text = render(report)
        assert "nan" not in text.replace("nano", "").replace("tenant", "")


def test_names_from_outside_stay_text_on_the_page_and_in_markdown() -> None:
    hostile = make_result(RUNS, subject=replace(SUBJECT, folder=HOSTILE, name=HOSTILE))
    report = make_report(hostile, hostile, environment=replace(ENVIRONMENT, cpu=HOSTILE, machine=HOSTILE))
    assert "<script>alert" not in page(report)
    assert "<script>alert" not in markdown(report)


def test_a_periodic_report_says_at_what_rate() -> None:
    report = make_report(make_result(RUNS), method=replace(METHOD, scenario="periodic", rate_hz=25.0))
    assert "One inference every 40 ms (25 per second)" in page(report)


def test_a_scenario_that_does_not_exist_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        checked_scenario("singlestream")
    assert caught.value.hint == "did you mean 'single-stream'?"


def test_a_rate_belongs_to_the_periodic_scenario() -> None:
    assert rate_for("periodic", None) == 30.0
    assert rate_for("single-stream", None) is None
    with pytest.raises(UsageError, match="a rate belongs to scenario 'periodic' or 'server'"):
        rate_for("single-stream", 30.0)
    with pytest.raises(UsageError, match="positive number per second, got 0"):
        rate_for("periodic", 0.0)


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(0.0005, "500.0 ns"), (0.009876, "9.876 µs"), (1.0, "1.000 ms"), (12.3456, "12.35 ms"), (61234.0, "61.23 s")],
)
def test_times_have_four_digits_and_the_unit_that_suits_them(ms: float, shown: str) -> None:
    assert duration(ms) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.012345, "0.01235"), (1234.0, "1234"), (95032.4, "95032"), (0.0, "0.000")])
def test_numbers_have_four_digits_and_no_exponent(value: float, shown: str) -> None:
    assert digits(value) == shown


@pytest.mark.parametrize(("count", "shown"), [(None, "–"), (999, "999 B"), (4270, "4.27 kB"), (71_703_000, "71.7 MB")])
def test_sizes_are_decimal(count: int | None, shown: str) -> None:
    assert size(count) == shown


def test_a_table_for_the_terminal_is_aligned() -> None:
    assert aligned(["name", "ms"], [["a\nunder", "1.5"], ["longer", "10"]]) == "name     ms\na       1.5\nunder\nlonger   10"
