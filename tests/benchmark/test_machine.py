"""What a machine tells of itself is read as it is; what it does not tell is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from reports import ENGINE, ENVIRONMENT

from edgekit.benchmark.conditions.environment import environment
from edgekit.benchmark.conditions.on_target import on_target
from edgekit.benchmark.conditions.sensors import peak_resident_bytes, reader, resident_bytes
from edgekit.core.schema import Target

PI_CPUINFO = (
    "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\nprocessor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
)


def put(root: Path, place: str, text: str) -> None:
    file = root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """The parts of /proc and /sys that a Raspberry Pi 5 has."""
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    put(tmp_path, "proc/device-tree/compatible", "raspberrypi,5-model-b\0brcm,bcm2712\0")
    put(tmp_path, "proc/cpuinfo", PI_CPUINFO)
    put(tmp_path, "proc/meminfo", "MemTotal:        8245000 kB\nMemFree: 1 kB\n")
    put(tmp_path, "proc/loadavg", "0.42 0.30 0.20 1/200 999\n")
    put(tmp_path, "etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n')
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "2400000\n")
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1500000\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48312\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", "51000\n")
    return tmp_path


def test_a_board_is_named_as_its_device_tree_names_it(board: Path) -> None:
    found = environment(board)
    assert found.machine == "Raspberry Pi 5 Model B Rev 1.0"
    assert found.compatible == ("raspberrypi,5-model-b", "brcm,bcm2712")
    assert found.cpu == "Arm implementer 0x41, part 0xd0b"
    assert (found.governor, found.maximum_mhz, found.load_average) == ("ondemand", 2400.0, 0.42)
    assert found.memory_bytes == 8245000 * 1024
    assert found.os == "Debian GNU/Linux 13 (trixie)"
    assert not found.virtual


def test_a_machine_that_tells_nothing_is_still_described(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert found.machine
    assert (found.governor, found.maximum_mhz, found.load_average, found.memory_bytes) == (None, None, None, None)


def test_a_virtual_machine_is_recognised_by_its_cpu_flags(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu hypervisor sse\n")
    found = environment(tmp_path)
    assert (found.cpu, found.virtual) == ("Some CPU @ 2 GHz", True)


def test_sensors_give_the_hottest_zone_and_the_fastest_clock(board: Path) -> None:
    reading = reader(board)(1.5)
    assert (reading.at_s, reading.temperature_c, reading.clock_mhz) == (1.5, 51.0, 1500.0)


@pytest.mark.parametrize("nonsense", ["<unsupported>", "nan", "inf", ""])
def test_a_sensor_that_vanishes_or_talks_nonsense_is_unknown(board: Path, nonsense: str) -> None:
    sense = reader(board)
    (board / "sys/class/thermal/thermal_zone1/temp").unlink()
    put(board, "sys/class/thermal/thermal_zone0/temp", "-274000\n")
    put(board, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", f"{nonsense}\n")
    reading = sense(0.0)
    assert (reading.temperature_c, reading.clock_mhz) == (None, None)


def test_this_process_has_memory_and_its_peak_is_no_less() -> None:
    now, peak = resident_bytes(), peak_resident_bytes()
    assert now is not None
    assert peak is not None
    assert 1 << 20 < now <= peak * 1.01


PI = Target(device="rpi5", runtime="litert", format="tflite", precision="int8")
HERE = replace(ENVIRONMENT, compatible=("raspberrypi,5-model-b", "brcm,bcm2712"))


def test_a_board_is_the_target_only_with_its_own_runtime() -> None:
    assert on_target(PI, replace(ENGINE, runtime="litert"), HERE)
    assert not on_target(PI, replace(ENGINE, runtime="onnxruntime"), HERE)


def test_another_machine_is_not_the_target_even_with_the_same_runtime() -> None:
    assert not on_target(PI, replace(ENGINE, runtime="litert"), ENVIRONMENT)
    assert not on_target(replace(PI, device="rpi4"), replace(ENGINE, runtime="litert"), HERE)


def test_a_usb_accelerator_is_recognised_by_the_runtime_that_needs_it() -> None:
    coral = Target(device="coral-usb", runtime="edgetpu", format="edgetpu", precision="int8")
    assert on_target(coral, replace(ENGINE, runtime="edgetpu"), ENVIRONMENT)
    assert not on_target(coral, replace(ENGINE, runtime="litert"), ENVIRONMENT)


def test_the_host_is_wherever_one_is_and_an_unknown_device_is_nowhere() -> None:
    host = Target(device="host", runtime="onnxruntime", format="onnx", precision="fp32")
    assert on_target(host, ENGINE, ENVIRONMENT)
    assert not on_target(replace(host, device="no-such-board"), ENGINE, HERE)
