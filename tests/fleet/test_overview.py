"""The fleet in words: what boards measure, in one figure for a group, and what a person should look at."""

from __future__ import annotations

import msgspec
import pytest

from edgekit.deploy.board.receiving import RESERVE_BYTES
from edgekit.fleet.desk.figures import medians, sentence
from edgekit.fleet.desk.overview import HEAD, ago, boards, group_as_json, paragraph, row
from edgekit.fleet.nouns import Member, Plan, Report, Rollout, Sealed
from edgekit.fleet.rollout.mirror import Mirror

ROLLOUT = Rollout(
    group="barn",
    serial=7,
    name="new",
    release="r2",
    order=Sealed(text=""),
    back=Sealed(text=""),
    plan=Plan(waves=(0.5, 1.0)),
    by="ada",
)


def fleet(*reports: Report, rollout: Rollout | None = None) -> Mirror:
    """A mirror that heard these reports a moment ago, by a clock that stands at 1000."""
    mirror = Mirror(None)  # type: ignore[arg-type]  # nothing is asked of it
    for report in reports:
        mirror._take_report(report.device, msgspec.json.encode(report), 1000.0)
        mirror.members[report.device] = Member(device=report.device, group="barn", public_key="k")
    if rollout is not None:
        mirror.rollouts[rollout.group] = rollout
    return mirror


def report(number: int, **more: object) -> Report:
    made = Report(device=f"cam-{number}", group="barn", release="r1", app="camera", active=True)
    return msgspec.structs.replace(made, **more)


def test_a_groups_figures_are_the_medians_of_those_that_have_the_release_and_from_before_it() -> None:
    had = {"fps": 30.0, "latency_ms": 8.0}
    new = [
        report(n, order=7, verdict="ok", metrics={"edgekit_fps": fps, "latency_ms": ms}, before=had)
        for n, fps, ms in ((1, 24.0, 10.0), (2, 26.0, 11.0), (3, 5.0, 90.0))
    ]
    others = [report(4, metrics=had), report(5, order=7, verdict="failed", metrics={"fps": 1.0})]
    said = group_as_json(fleet(*new, *others, rollout=ROLLOUT), "barn")
    assert said["medians"] == {"boards": 3, "fps": 24.0, "fps_before": 30.0, "latency_ms": 11.0, "latency_ms_before": 8.0}
    assert "\n  24 FPS (before 30), 11 ms (before 8): medians of 3 boards" in paragraph(said)


def test_without_a_release_under_way_they_are_those_of_all_and_compared_with_nothing() -> None:
    boards_there = [report(n, metrics={"fps": fps}, before={"fps": 1.0}) for n, fps in ((1, 24.0), (2, 26.0))]
    said = group_as_json(fleet(*boards_there), "barn")
    assert sentence(said["medians"]) == "25 FPS: medians of 2 boards"
    assert paragraph(said) == "barn  2 boards, no rollout yet\n  25 FPS: medians of 2 boards"
    assert sentence(medians([report(1)])) == "", "nothing was measured"


def test_a_line_of_the_table_has_what_the_board_measured() -> None:
    (board,) = boards(fleet(report(1, metrics={"fps": 24.6, "latency_ms": 10.25, "temperature_c": 61.0})), 1012.0)
    shown = dict(zip(HEAD, row(board), strict=True))
    assert (shown["fps"], shown["ms"], shown["°C"], shown["heard"]) == ("24.6", "10.2", "61", "12 s ago")


@pytest.mark.parametrize(
    ("heard_s", "said"),
    [(None, "never"), (0.0, "0 s ago"), (119, "119 s ago"), (600, "10 min ago"), (7300, "2 h ago"), (4e5, "5 days ago")],
)
def test_how_long_ago_is_said_in_the_unit_that_fits(heard_s: float | None, said: str) -> None:
    assert ago(heard_s) == said


def test_a_disk_that_will_soon_take_no_release_is_an_alert() -> None:
    full, fine = (report(n, metrics={"free_disk_bytes": free}) for n, free in ((1, 12e6), (2, float(RESERVE_BYTES))))
    assert [board["alerts"] for board in boards(fleet(full, fine), 1001.0)] == [["12 MB free on its disk"], []]
