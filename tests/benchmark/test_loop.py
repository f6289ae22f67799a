"""The loop times the call and nothing else, warms up until latency settles, and keeps a camera's pace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hand import MS, Hand, no_sensors
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmark.process.loop import SAMPLE_LIMIT, SECOND, Clock, Pace, overhead_ns, settled, stride_for, timed, warm_up
from edgekit.benchmark.report import Reading


def run_timed(
    hand: Hand, call: Callable[[], None], *, period_ns: int = 0, duration_s: float = 1.0, minimum: int = 1, stride: int = 1
):  # type: ignore[no-untyped-def]
    clock = hand.clock()
    pace = Pace(clock=clock, period_ns=period_ns)
    return timed(call, pace, duration_s=duration_s, minimum=minimum, stride=stride, sense=no_sensors, clock=clock)


def test_every_call_in_the_duration_is_timed_and_nothing_beside_it() -> None:
    hand = Hand()
    found = run_timed(hand, hand.taking(10 * MS))
    assert list(found.latencies_ns) == [10 * MS] * 100
    assert found.seconds == pytest.approx(1.0)


def test_a_slow_model_runs_past_the_duration_until_there_are_enough_samples() -> None:
    hand = Hand()
    assert len(run_timed(hand, hand.taking(150 * MS), minimum=22).latencies_ns) == 22


def test_patience_with_a_very_slow_model_ends() -> None:
    hand = Hand()
    assert len(run_timed(hand, hand.taking(900 * MS), minimum=22).latencies_ns) == 5


def test_sensors_are_read_at_the_start_once_a_second_and_at_the_end() -> None:
    hand = Hand()
    found = run_timed(hand, hand.taking(10 * MS), duration_s=3.5)
    assert [round(reading.at_s, 1) for reading in found.readings] == [0.0, 1.0, 2.0, 3.0, 3.5]


def test_time_spent_on_sensors_is_in_no_latency() -> None:
    hand = Hand()
    clock = hand.clock()

    def slow_sensor(at_s: float) -> Reading:
        hand.time += 50 * MS
        return Reading(at_s=at_s)

    found = timed(hand.taking(10 * MS), Pace(clock=clock), duration_s=3, minimum=1, stride=1, sense=slow_sensor, clock=clock)
    assert set(found.latencies_ns) == {10 * MS}


def test_a_periodic_run_sleeps_to_each_tick() -> None:
    hand = Hand()
    found = run_timed(hand, hand.taking(10 * MS), period_ns=100 * MS)
    assert len(found.latencies_ns) == 11  # ticks at 0.0, 0.1, ... 1.0 s
    assert found.missed == 0
    assert hand.slept == [pytest.approx(0.09)] * 10


def test_a_periodic_run_counts_the_ticks_that_passed_during_an_inference() -> None:
    hand = Hand()
    found = run_timed(hand, hand.taking(10 * MS, 250 * MS, 10 * MS), period_ns=100 * MS)
    assert found.missed == 2  # the frames at 200 and 300 ms: the inference that began at 100 ms was running until 350
    assert len(found.latencies_ns) + found.missed == 11


def test_a_stride_times_every_call_and_keeps_one_in_so_many() -> None:
    hand = Hand()
    found = run_timed(hand, hand.taking(*(i * MS for i in range(1, 11)), 10 * MS), duration_s=0.055, stride=5)
    assert list(found.latencies_ns) == [5 * MS, 10 * MS]


@given(st.floats(1e3, 1e9), st.floats(0.1, 3600))
def test_a_stride_keeps_a_run_within_the_limit_and_is_no_larger_than_it_must_be(median_ns: float, duration_s: float) -> None:
    expected = duration_s * SECOND / median_ns
    stride = stride_for(median_ns, duration_s, 0)
    assert expected / stride <= SAMPLE_LIMIT * (1 + 1e-9)
    assert stride == 1 or expected / (stride - 1) > SAMPLE_LIMIT * (1 - 1e-9)


def test_warm_up_ends_when_latency_has_settled() -> None:
    hand = Hand()
    falling = [round((10 + 40 * 0.8**i) * MS) for i in range(60)]
    warmup, typical = warm_up(hand.taking(*falling), Pace(clock=hand.clock()), 5.0, hand.clock())
    assert warmup.steady
    assert 0.25 <= warmup.seconds < 2.5
    assert typical == pytest.approx(10 * MS, rel=0.05)


def test_warm_up_of_a_model_that_never_settles_ends_at_its_limit_and_says_so() -> None:
    hand = Hand()
    rising = [(10 + i) * MS for i in range(200)]
    warmup, _ = warm_up(hand.taking(*rising), Pace(clock=hand.clock()), 1.0, hand.clock())
    assert not warmup.steady
    assert 1.0 <= warmup.seconds < 1.1


def test_one_inference_longer_than_the_limit_is_warm_up_enough() -> None:
    hand = Hand()
    warmup, _ = warm_up(hand.taking(3000 * MS), Pace(clock=hand.clock()), 1.0, hand.clock())
    assert warmup.runs == 1
    assert not warmup.steady


@given(st.lists(st.integers(9900, 10000), min_size=6, max_size=300))
def test_latencies_within_one_percent_are_settled(latencies: list[int]) -> None:
    assert settled(latencies)


@given(st.integers(20, 300))
def test_a_steady_rise_is_not_settled(count: int) -> None:
    assert not settled([1000 + 10 * i for i in range(count)] if count < 100 else [1000 + 5 * i for i in range(count)])


def test_the_timer_costs_less_than_two_microseconds_here() -> None:
    assert 0 < overhead_ns(Clock()) < 2_000


def rising(hand: Hand, per_second: float, until_s: float = 1e9) -> Callable[[], float]:
    """A temperature that rises steadily up to some second."""
    start = hand.time
    return lambda: 40 + per_second * min((hand.time - start) / SECOND, until_s)


def test_warm_up_waits_for_the_temperature_where_there_is_time_to_see_it_settle() -> None:
    hand = Hand()
    warmup, _ = warm_up(hand.taking(10 * MS), Pace(clock=hand.clock()), 120.0, hand.clock(), rising(hand, 0.5, until_s=30.0))
    assert (warmup.steady, warmup.temperature_steady) == (True, True)
    assert 30 < warmup.seconds < 45
    assert max(warmup.temperatures_c) == pytest.approx(55.0)


def test_a_board_that_goes_on_heating_ends_warm_up_at_the_limit_and_is_said_to() -> None:
    hand = Hand()
    warmup, _ = warm_up(hand.taking(10 * MS), Pace(clock=hand.clock()), 60.0, hand.clock(), rising(hand, 0.5))
    assert (warmup.steady, warmup.temperature_steady) == (True, False)
    assert warmup.seconds == pytest.approx(60.0, abs=0.1)


def test_a_short_warm_up_does_not_claim_to_know_about_the_temperature() -> None:
    hand = Hand()
    warmup, _ = warm_up(hand.taking(10 * MS), Pace(clock=hand.clock()), 1.0, hand.clock(), rising(hand, 0.5))
    assert warmup.temperature_steady is None
    assert warmup.seconds < 1.0


def test_a_sensor_that_vanishes_during_warm_up_leaves_latency_to_decide() -> None:
    hand = Hand()
    left: list[float | None] = [40.0, 41.0, 42.0]
    warmup, _ = warm_up(
        hand.taking(10 * MS), Pace(clock=hand.clock()), 60.0, hand.clock(), lambda: left.pop(0) if left else None
    )
    assert (warmup.steady, warmup.temperature_steady) == (True, None)
    assert warmup.temperatures_c == (40.0, 41.0, 42.0)
    assert warmup.seconds < 15
