"""The log of queries: what is in it, what is not, and that it never stands in the way."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from edgekit.apps.assistant.analytics import Log, Query
from edgekit.apps.assistant.machine import available_bytes, bandwidth_limit, bandwidth_share, board, rss_bytes, temperature_c
from edgekit.core.profiles import find
from edgekit.runtimes.text import Timings


def query(at: float, **known: object) -> Query:
    return Query(at=at, kind="chat", **known)  # type: ignore[arg-type]


def test_its_fields_have_the_names_of_llama_servers_timings() -> None:
    names = {field.name for field in fields(Query)}
    missing = set(Timings().as_json()) - names
    assert missing == {"prompt_per_token_ms", "predicted_per_token_ms"}  # both follow from the others


def test_sums_means_and_charts_come_from_it(tmp_path: Path) -> None:
    log, now = Log(tmp_path / "q.sqlite"), time.time()
    for number in range(20):
        log.add(query(now - 100 + number, ttft_ms=float(number), predicted_n=10, source="fallback" if number % 2 else "local"))
    found = log.summary(now - 1000)
    assert (found["queries"], found["predicted_n"], found["ttft_ms"], found["ttft_p95_ms"]) == (20, 200, 9.5, 18.0)
    assert found["by_source"] == {"fallback": 10, "local": 10}
    assert log.summary(now + 1)["queries"] == 0
    series = log.series(now - 1000, 10)
    assert sum(step["queries"] for step in series) == 20
    assert [step["at"] for step in series] == sorted(step["at"] for step in series)
    assert [one["ttft_ms"] for one in log.recent(2)] == [19.0, 18.0]
    log.close()


def test_it_is_kept_for_as_long_as_was_said(tmp_path: Path) -> None:
    log, now = Log(tmp_path / "q.sqlite"), time.time()
    log.add(query(now - 10 * 86_400))
    log.add(query(now))
    log.close()
    shorter = Log(tmp_path / "q.sqlite", keep_days=5)
    assert len(shorter.recent()) == 1
    shorter.forget()
    assert shorter.recent() == []
    shorter.close()


def test_what_is_too_old_is_forgotten_while_the_server_runs(tmp_path: Path) -> None:
    now = [1_000_000_000.0]
    log = Log(tmp_path / "q.sqlite", keep_days=5, clock=lambda: now[0])
    log.add(query(now[0]))
    now[0] += 4 * 86_400
    log.add(query(now[0]))
    assert len(log.recent()) == 2
    now[0] += 3 * 86_400
    log.add(query(now[0]))
    assert len(log.recent()) == 2
    log.close()


def test_switched_off_it_leaves_no_file(tmp_path: Path) -> None:
    log = Log(None)
    log.add(query(time.time()))
    assert (log.recent(), log.summary()["queries"], list(tmp_path.iterdir())) == ([], 0, [])


def test_the_oldest_queries_make_room_for_new_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = Log(tmp_path / "q.sqlite", max_bytes=200_000)
    for number in range(3000):
        log.add(query(float(number), model="m" * 100))
    kept = [row["at"] for row in log.recent(5000)]
    assert kept == [float(number) for number in range(2999, 2999 - len(kept), -1)]
    assert 500 < len(kept) < 3000 and (log.dropped, caplog.records) == (0, [])
    log.close()
    assert (tmp_path / "q.sqlite").stat().st_size <= 200_000


def test_a_full_disk_costs_the_log_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = Log(tmp_path / "q.sqlite")
    with largest_file(100_000):
        for number in range(500):
            log.add(query(float(number), model="m" * 1000))
    assert 0 < log.dropped < 500 and len(log.recent(500)) + log.dropped == 500
    assert [record.getMessage() for record in caplog.records if "not written" in record.getMessage()] != []
    assert len(caplog.records) == 1
    log.add(query(1000.0))
    assert log.recent(1)[0]["at"] == 1000.0
    log.close()


@contextmanager
def largest_file(count: int) -> Iterator[None]:
    """Whatever is written beyond so many bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_damaged_log_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "q.sqlite").write_bytes(b"rubbish" * 2000)
    log = Log(tmp_path / "q.sqlite")
    log.add(query(1.0))
    assert len(log.recent()) == 1
    log.close()


def test_a_log_that_cannot_be_opened_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = Log(tmp_path / "file" / "q.sqlite")
    log.add(query(1.0))
    assert not log.is_on


def machine(root: Path) -> Path:
    (root / "device-tree").mkdir(parents=True)
    (root / "device-tree/compatible").write_bytes(b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    (root / "meminfo").write_text("MemTotal: 8000 kB\nMemAvailable: 4000 kB\n")
    for number, text in enumerate(("51200\n", "rubbish", "48000\n")):
        zone = root / f"class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(text)
    return root


def test_the_board_says_its_memory_its_temperature_and_its_limit(tmp_path: Path) -> None:
    root = machine(tmp_path)
    assert (available_bytes(root), temperature_c(root)) == (4_096_000, 51.2)
    found = board(root)
    assert found is not None and found.name == "rpi5"
    assert bandwidth_limit(found) == bandwidth_limit(find("rpi5"))
    assert bandwidth_limit(None) is board(tmp_path / "nothing") is None
    assert (rss_bytes() or 0) > 1_000_000


def test_the_share_of_the_bandwidth_is_bytes_per_token_times_tokens_per_second() -> None:
    assert bandwidth_share(2_020_000_000, 0, 5.55, 17_100_000_000) == pytest.approx(
        0.656, abs=0.001
    )  # Pi 5, Llama 3.2 3B Q4_K_M
    assert bandwidth_share(0, 0, 5.0, 1e9) is bandwidth_share(1, 0, 5.0, None) is bandwidth_share(1, 0, 0, 1e9) is None
