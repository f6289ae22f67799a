"""Energy comes from a meter that the board carries, which is named; a board without one has no energy, and no guess."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hand import MS
from hypothesis import given
from hypothesis import strategies as st
from reports import make_report, make_result, make_run

from edgekit.benchmark.conditions.energy import LEAST, MOST, energy, readings_for
from edgekit.benchmark.conditions.meters import PMIC, Meter, find_meter, pmic_watts
from edgekit.benchmark.conditions.sensors import reader
from edgekit.benchmark.process.loop import Clock, Pace
from edgekit.benchmark.rendering.page import page
from edgekit.benchmark.rendering.text import markdown, terminal
from edgekit.benchmark.report import Energy

MACHINES = Path(__file__).parent.parent / "data/machines"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a recorded machine's files into a folder."""

    def built(name: str) -> Path:
        for relative, content in json.loads((MACHINES / f"{name}.json").read_text())["files"].items():
            path = tmp_path / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("latin-1"))
        return tmp_path

    return built


def asked(name: str) -> Callable[[Sequence[str]], str]:
    """Answers as the recorded machine's programs did."""
    answers = json.loads((MACHINES / f"{name}.json").read_text())["answers"]
    return lambda argv: answers.get(" ".join(argv), "")


@pytest.mark.parametrize(
    ("name", "meter", "watts"),
    [
        ("jetson-orin-nano-meter", "VDD_IN (ina3221)", 5.0 * 1.4),
        ("jetson-xavier-nx-jetpack-4", "VDD_IN (ina3221x)", 4.859),
        ("jetson-agx-thor-meter", "VIN (ina238)", 38.25),
        ("jetson-agx-orin-meter", "sum of VDD_GPU_SOC (ina3221), VDD_CPU_CV (ina3221), VIN_SYS_5V0 (ina3221)", 3.2 + 1.6 + 5.0),
    ],
)
def test_a_jetson_s_meter_is_found_and_named(machine: Callable[[str], Path], name: str, meter: str, watts: float) -> None:
    found = find_meter(machine(name))
    assert found is not None
    assert found.name == meter
    assert found.watts() == pytest.approx(watts)


def test_a_chip_without_a_label_is_the_input_of_a_jetson_only(machine: Callable[[str], Path]) -> None:
    root = machine("jetson-agx-thor-meter")
    (root / "sys/class/hwmon/hwmon2/label").unlink()
    found = find_meter(root)
    assert found is not None and found.name == "VIN (ina238)"
    (root / "proc/device-tree/compatible").write_bytes(b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    elsewhere = find_meter(root)
    assert elsewhere is not None
    assert elsewhere.name.startswith("sum of") and elsewhere.name.endswith("unlabelled (ina238)")


def test_a_rail_whose_name_begins_like_the_input_s_is_not_the_input(machine: Callable[[str], Path]) -> None:
    root = machine("jetson-agx-thor-meter")
    (root / "sys/class/hwmon/hwmon2/label").write_text("VIN of the camera\n")
    found = find_meter(root)
    assert found is not None and found.name.startswith("sum of")


def test_a_raspberry_pi_5_s_meter_is_the_sum_of_its_rails(machine: Callable[[str], Path]) -> None:
    found = find_meter(machine("raspberry-pi-5-pmic"), asked("raspberry-pi-5-pmic"))
    assert found is not None
    assert "PMIC" in found.name
    # The rails whose current is known; the input's and the battery's voltages stand alone.
    assert found.watts() == pytest.approx(3.72 * 0.2 + 1.8 * 0.25 + 0.75 * 2.0, abs=1e-6)


@pytest.mark.parametrize("name", ["raspberry-pi-5", "x86-host", "nothing", "garbage", "raspberry-pi-4-vcgencmd"])
def test_a_board_without_a_meter_has_none(machine: Callable[[str], Path], name: str) -> None:
    assert find_meter(machine(name), lambda argv: "") is None


@given(st.text(max_size=300))
def test_whatever_the_firmware_prints_is_watts_or_nothing(said: str) -> None:
    watts = pmic_watts(said)
    assert watts is None or watts >= 0


def test_both_forms_that_firmwares_print_are_read() -> None:
    assert pmic_watts("VDD_CORE_A current(7)=2.5A\nVDD_CORE_V volt(15)=0.8V\n") == pytest.approx(2.0)
    assert pmic_watts("VDD_CORE_V=0.8000V\nVDD_CORE_A=2.5000A\nEXT5V_V=5.1V\n") == pytest.approx(2.0)
    assert pmic_watts("EXT5V_V volt(24)=5.1V\n") is None


def test_the_firmware_is_not_asked_where_it_cannot_answer(machine: Callable[[str], Path]) -> None:
    def ask(argv: Sequence[str]) -> str:
        raise AssertionError(f"{argv} was asked")

    assert find_meter(machine("x86-host"), ask) is None


def test_a_rail_that_vanishes_in_mid_run_is_unknown_from_then_on(machine: Callable[[str], Path]) -> None:
    root = machine("jetson-orin-nano-meter")
    found = find_meter(root)
    assert found is not None
    next(root.glob("sys/class/hwmon/*/curr1_input")).unlink()
    assert found.watts() is None


def measured(watts: list[float | None], *, query: int = 1, readings: int = 4) -> Energy | None:
    """Inferences of a millisecond while a meter gives these readings."""
    left = list(watts)
    clock = Clock()

    def call() -> None:
        end = clock.now() + MS
        while clock.now() < end:
            pass

    return energy(
        call, Pace(clock=clock), Meter(name="m", watts=lambda: left.pop(0)), clock, readings=readings, query=query, every_s=0.02
    )


def test_energy_is_mean_power_times_the_time_of_an_inference() -> None:
    found = measured([4.0, 6.0, 5.0, 5.0])
    assert found is not None
    assert (found.readings_w, found.mean_w) == ((4.0, 6.0, 5.0, 5.0), 5.0)
    assert found.mj_per_inference == pytest.approx(5.0 * 1e3 * found.seconds / found.inferences, rel=1e-4)
    assert found.inferences >= 4


def test_a_query_of_several_inferences_counts_each() -> None:
    found = measured([5.0] * 4, query=8)
    assert found is not None
    assert found.inferences % 8 == 0


def test_a_meter_that_vanishes_ends_the_readings_and_what_was_read_counts() -> None:
    found = measured([4.0, 6.0, None])
    assert found is not None
    assert found.readings_w == (4.0, 6.0)


def test_a_meter_that_never_answers_gives_no_energy() -> None:
    assert measured([None]) is None


@given(st.floats(0.01, 1e4))
def test_the_meter_is_read_once_a_second_a_few_times_and_not_for_ever(duration_s: float) -> None:
    assert LEAST <= readings_for(duration_s) <= MOST


def test_an_inference_that_fails_leaves_no_sampler_behind() -> None:
    def fail() -> None:
        raise ValueError("no")

    clock = Clock()
    with pytest.raises(ValueError, match="no"):
        energy(fail, Pace(clock=clock), Meter(name="m", watts=lambda: 1.0), clock, readings=3, every_s=60.0)


def test_every_form_of_a_report_names_the_meter() -> None:
    spent = Energy(
        meter="VDD_IN (ina3221)", readings_w=(5.0, 7.0), mean_w=6.0, seconds=2.0, inferences=1000, mj_per_inference=12.0
    )
    report = make_report(make_result([make_run([1.0] * 80, energy=spent)] * 2))
    for render in (terminal, page, markdown):
        text = render(report).replace("\\_", "_")
        assert "VDD_IN (ina3221)" in text
        assert "12.00" in text


def test_a_report_without_a_meter_says_nothing_of_energy() -> None:
    assert "Energy" not in page(make_report(make_result([make_run([1.0] * 80)])))


def test_throttling_flags_are_read_with_the_other_sensors(machine: Callable[[str], Path]) -> None:
    root = machine("raspberry-pi-5-weak-supply")
    assert reader(root)(0.0).throttled == 0x50005
    next(root.glob("sys/devices/platform/*/*/get_throttled")).unlink()
    assert reader(root)(1.0).throttled is None


def test_the_gpu_s_clock_is_read_in_its_own_unit(machine: Callable[[str], Path]) -> None:
    assert reader(machine("jetson-orin-nano-meter"))(0.0).gpu_mhz == 624.75


def test_the_firmware_s_answer_is_asked_for_once(machine: Callable[[str], Path]) -> None:
    questions: list[tuple[str, ...]] = []

    def ask(argv: Sequence[str]) -> str:
        questions.append(tuple(argv))
        return ""

    find_meter(machine("raspberry-pi-5-pmic"), ask)
    assert questions == [PMIC]
