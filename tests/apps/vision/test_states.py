"""The state machine of a source, on a clock that the tests own."""

from __future__ import annotations

import pytest

from edgekit.apps.vision.sources.states import Patience, checked, delay_s, ended, failed, opened, with_frame

PATIENCE = Patience(stall_s=5, lose_s=10, first_delay_s=1, longest_delay_s=60, jitter=0.25)


def test_a_source_that_goes_silent_is_stalled_then_lost_then_tried_again() -> None:
    link = with_frame(opened(0), 1)
    assert link.state == "running"
    assert checked(link, 5.9, PATIENCE, 0.5).state == "running"
    stalled = checked(link, 6, PATIENCE, 0.5)
    assert stalled.state == "stalled"
    lost = checked(stalled, 11, PATIENCE, 0.5)
    assert (lost.state, lost.losses) == ("lost", 1)
    assert checked(lost, 11.9, PATIENCE, 0.5).state == "lost"
    assert checked(lost, 12, PATIENCE, 0.5).state == "connecting"


def test_a_frame_heals_a_stall() -> None:
    stalled = checked(with_frame(opened(0), 0), 6, PATIENCE, 0.5)
    assert with_frame(stalled, 6.1).state == "running"
    assert with_frame(stalled, 6.1).reason == ""


def test_pauses_double_up_to_their_limit_and_vary_by_the_jitter() -> None:
    assert [delay_s(failures, PATIENCE, 0.5) for failures in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (delay_s(0, PATIENCE, 0.0), delay_s(0, PATIENCE, 1.0)) == (0.75, 1.25)
    assert delay_s(10**6, PATIENCE, 0.5) == 60


def test_a_frame_forgives_earlier_failures() -> None:
    link = opened(0)
    for _ in range(5):
        link = failed(link, 0, PATIENCE, 0.5, "refused")
    assert link.failures == 5
    assert with_frame(link, 1).failures == 0


def test_never_having_come_is_no_loss() -> None:
    assert failed(opened(0), 1, PATIENCE, 0.5, "refused").losses == 0


@pytest.mark.parametrize("back_s", [1.0, 1e6])
def test_a_clock_that_jumps_back_loses_nobody(back_s: float) -> None:
    link = with_frame(opened(1e6), 1e6)
    assert checked(link, 1e6 - back_s, PATIENCE, 0.5).state == "running"


def test_the_end_is_the_end() -> None:
    assert checked(ended(opened(0), 1), 1e9, PATIENCE, 0.5).state == "ended"
