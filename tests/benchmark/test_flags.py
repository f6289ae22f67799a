"""A report says by itself what a careful reader would ask."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from reports import ENGINE, ENVIRONMENT, METHOD, SUBJECT, make_result, make_run

from edgekit.benchmark.report import Environment, Method, Reading, Result, Warmup
from edgekit.benchmark.statistics.flags import NOTES, WARNINGS, flags_of, own, shared
from edgekit.core.schema import Accuracy

CALM = [10.0, 10.1] * 40


def codes(result: Result, environment: Environment = ENVIRONMENT, method: Method = METHOD) -> set[str]:
    return {flag.code for flag in flags_of(result, environment, method)}


def text_of(code: str, result: Result, environment: Environment = ENVIRONMENT, method: Method = METHOD) -> str:
    (text,) = [flag.text for flag in flags_of(result, environment, method) if flag.code == code]
    return text


def calm(**changes: object) -> Result:
    return make_result([make_run(CALM)] * 3, **changes)


def test_a_calm_measurement_on_its_board_raises_no_flag() -> None:
    assert codes(calm()) == set()


def test_an_artifact_for_a_jetson_that_ran_on_the_host_is_never_taken_for_jetson_latency() -> None:
    result = calm(on_target=False, subject=replace(SUBJECT, device="jetson-orin-nano", target_runtime="tensorrt"))
    assert text_of("off-target", result).startswith("measured on the host, not on jetson-orin-nano: onnxruntime on Test CPU")
    assert flags_of(result, ENVIRONMENT, METHOD)[0].code == "off-target"


def test_zeros_from_the_dry_run_are_no_latency() -> None:
    assert "nothing was computed" in text_of("nothing-computed", calm(engine=replace(ENGINE, runtime="dryrun")))


def test_the_speed_of_a_broken_model_is_flagged() -> None:
    assert SUBJECT.parity is not None
    failed = replace(SUBJECT, parity=replace(SUBJECT.parity, ok=False, value=3.0))
    assert text_of("broken", calm(subject=failed)) == "parity with the source model failed (sqnr_db 3, tolerance 20)"
    missed = Accuracy(metric="top1", source=0.99, artifact=0.5, drop=0.49, max_drop=0.01, ok=False, samples=100)
    assert "accuracy gate failed (top1 0.5 against 0.99)" in text_of("broken", calm(subject=replace(SUBJECT, accuracy=missed)))


def test_an_artifact_without_parity_is_unproven() -> None:
    assert "unproven" in codes(calm(subject=replace(SUBJECT, parity=None)))


def test_too_few_samples_for_a_p90_come_with_the_duration_that_would_do() -> None:
    result = make_result([make_run([300.0] * 10)] * 3)
    assert text_of("few-samples", result) == "p90 needs 64 samples and there are 30; --duration 8 would give enough"


def test_a_periodic_run_with_too_few_samples_needs_the_time_of_its_frames() -> None:
    method = replace(METHOD, scenario="periodic", rate_hz=2.0)
    result = make_result([make_run([3.0] * 10)] * 3)
    assert "--duration 12 would" in text_of("few-samples", result, method=method)


def test_warm_up_that_ran_into_its_limit_is_flagged() -> None:
    restless = make_run(CALM, warmup=Warmup(runs=9, seconds=1.0, steady=False))
    assert "in 1 of 3 runs" in text_of("not-steady", make_result([make_run(CALM), restless, make_run(CALM)]))


def test_scattered_samples_are_flagged() -> None:
    assert "noisy" in codes(make_result([make_run([1.0, 2.0] * 40)] * 3))


def test_a_latency_that_rises_during_a_run_is_flagged() -> None:
    result = make_result([make_run([10 + 0.02 * i for i in range(90)])] * 3)
    assert "median latency moved by +11.7%" in text_of("drifted", result)


def test_a_difference_that_few_scattered_samples_show_by_chance_is_no_drift() -> None:
    scattered = [10.0, 13.0, 9.0, 12.0, 8.0, 14.0, 10.0, 11.0, 12.5, 8.5, 13.5, 9.5, 12.0, 11.0, 13.0, 9.0, 12.0, 14.0]
    assert "drifted" not in codes(make_result([make_run(scattered)] * 3))


def test_restarts_that_disagree_are_flagged() -> None:
    result = make_result([make_run([level] * 30) for level in (1.0, 1.08, 1.02)])
    assert "restart medians differ by 8.0%" in text_of("restart-spread", result)


def test_a_model_as_fast_as_the_timer_is_flagged() -> None:
    assert text_of("timer", make_result([make_run([0.002] * 80)] * 3)) == "the timer itself takes 0.06 us of 2.00 us"


def test_a_board_that_heats_up_is_flagged() -> None:
    readings = tuple(Reading(at_s=float(i), temperature_c=45.0 + 4 * i) for i in range(4))
    assert "warmed from 45 to 57 °C" in text_of("warmed", make_result([make_run(CALM, readings=readings)] * 2))


def test_a_clock_below_its_limit_is_flagged() -> None:
    readings = (Reading(at_s=0.0, clock_mhz=1500.0), Reading(at_s=1.0, clock_mhz=600.0))
    assert "600 MHz at times, of 1500 MHz" in text_of("clock-dropped", make_result([make_run(CALM, readings=readings)] * 2))


def test_a_clock_is_judged_by_its_cap_and_the_cap_is_a_condition() -> None:
    readings = (Reading(at_s=0.0, clock_mhz=1000.0),)
    mode = replace(ENVIRONMENT, cap_mhz=1000.0, power_mode="7W")
    result = make_result([make_run(CALM, readings=readings)] * 2)
    assert codes(result, mode) == {"capped"}
    assert text_of("capped", result, mode) == "the clock is capped at 1000 of 1500 MHz (power mode 7W)"


def test_a_gpu_below_its_cap_is_flagged() -> None:
    readings = (Reading(at_s=0.0, gpu_mhz=306.0),)
    text = text_of(
        "clock-dropped", make_result([make_run(CALM, readings=readings)] * 2), replace(ENVIRONMENT, gpu_cap_mhz=1020.0)
    )
    assert text.startswith("the GPU ran at 306 MHz at times, of 1020 MHz")


def test_throttling_while_it_was_measured_is_flagged_even_when_only_its_sticky_bit_was_seen() -> None:
    def run(*flags: int) -> Result:
        readings = tuple(Reading(at_s=float(i), throttled=flag) for i, flag in enumerate(flags))
        return make_result([make_run(CALM, readings=readings)] * 2)

    assert text_of("throttled", run(0, 0x50005)).endswith("while it was measured: under-voltage, throttled")
    assert text_of("throttled", run(0, 0x20000)).endswith("while it was measured: clock capped")
    assert codes(run(0x50000, 0x50000)) == {"throttled-before"}
    assert "under-voltage, throttled" in text_of("throttled-before", run(0x50000, 0x50000))
    assert codes(run(0, 0)) == set()


def test_a_board_that_still_heated_up_after_warm_up_is_flagged() -> None:
    warmup = Warmup(runs=9, seconds=60.0, steady=True, temperature_steady=False, temperatures_c=(40.0, 61.5))
    assert "still rose when warm-up ended in 2 of 2 runs (to 62 °C)" in text_of(
        "heating", make_result([make_run(CALM, warmup=warmup)] * 2)
    )


def test_frames_that_came_too_fast_are_counted() -> None:
    method = replace(METHOD, scenario="periodic", rate_hz=30.0)
    assert text_of("missed", make_result([make_run(CALM, missed=20)] * 2), method=method).startswith(
        "40 of 200 frames at 30 per"
    )


def test_a_busy_machine_is_flagged() -> None:
    assert "load average 3.5 on 4 cores" in text_of("busy", calm(), replace(ENVIRONMENT, load_average=3.5))


@pytest.mark.parametrize(
    ("code", "result", "environment"),
    [
        ("one-restart", make_result([make_run(CALM)]), ENVIRONMENT),
        ("random-input", calm(input="random"), ENVIRONMENT),
        ("thinned", make_result([make_run(CALM, stride=4)] * 2), ENVIRONMENT),
        ("governor", calm(), replace(ENVIRONMENT, governor="powersave")),
        ("virtual", calm(), replace(ENVIRONMENT, virtual=True)),
    ],
)
def test_conditions_worth_knowing_are_notes(code: str, result: Result, environment: Environment) -> None:
    assert [(flag.code, flag.severity) for flag in flags_of(result, environment, METHOD)] == [(code, "note")]


def test_what_sensors_do_not_tell_raises_no_flag() -> None:
    silent = make_run(CALM, readings=(), start_rss_bytes=None, peak_rss_bytes=None)
    unknown = replace(ENVIRONMENT, governor=None, maximum_mhz=None, load_average=None, memory_bytes=None)
    assert codes(make_result([silent] * 2), unknown) == set()


def test_every_question_has_a_name_of_its_own() -> None:
    assert not WARNINGS.keys() & NOTES.keys()


def test_what_several_results_share_is_said_once() -> None:
    busy = replace(ENVIRONMENT, load_average=3.5)
    results = [calm(), calm(input="random")]
    flagged = [replace(result, flags=flags_of(result, busy, METHOD)) for result in results]
    assert [flag.code for flag in shared(flagged)] == ["busy"]
    assert [[flag.code for flag in own(result, flagged)] for result in flagged] == [[], ["random-input"]]
    assert shared(flagged[:1]) == ()
    assert [flag.code for flag in own(flagged[0], flagged[:1])] == ["busy"]
