"""What is decided before anything is emulated: the core, the system, the limits, the versions, the commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgekit.cli import main
from edgekit.core import process, profiles
from edgekit.core.errors import EdgekitError, GateFailed, InputError, Unsupported
from edgekit.emulate import cache, packages, qemu, rootfs
from edgekit.emulate.boards import board_of, emulatable
from edgekit.emulate.cores import core_of, cores
from edgekit.emulate.limits import Limits, ensure_loaded, ensure_stored, limits_of, prefix
from edgekit.emulate.qemu import Guest
from edgekit.emulate.wheels import requirements
from edgekit.flash.systems import systems
from edgekit.flash.wheelhouse import Wheelhouse

LINUX_BOARDS = emulatable(profiles.devices())


def test_every_board_with_a_core_has_a_model_and_none_is_max() -> None:
    named = [device for device in profiles.devices() if "cpu_model" in device.facts and device.isa.startswith("arm")]
    assert [device.name for device in LINUX_BOARDS] == [device.name for device in named]
    assert all(core.model != "max" and (core.exact or core.lacks) for core in cores())


@pytest.mark.parametrize("device", LINUX_BOARDS, ids=lambda device: device.name)
def test_a_model_has_no_instructions_that_its_board_lacks(device: profiles.Device) -> None:
    """Armv8.2 models have atomics, half precision and dot products; a board that lacks one of them must have an older model."""
    model = core_of(device).model
    newer = {"cortex-a53": (), "cortex-a57": (), "cortex-a72": (), "cortex-a76": ("cpu_lse", "cpu_fp16", "cpu_dotprod")}
    for instruction in newer.get(model, ("cpu_lse", "cpu_fp16", "cpu_dotprod")):
        assert device.facts[instruction].value is True, f"{model} has {instruction}, {device.name} does not"


@pytest.mark.parametrize(("name", "said"), [("coral-usb", "names no processor core"), ("coral-dev-board-micro", "Cortex-M7")])
def test_a_board_without_a_core_to_emulate_is_refused(name: str, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        core_of(profiles.find(name))


def test_an_older_qemu_is_refused_by_name() -> None:
    assert qemu.new_enough("qemu-aarch64", "qemu-aarch64 version 10.0.2 (Debian 1:10.0.2+ds-2)") == (10, 0)
    with pytest.raises(Unsupported, match=r"qemu-aarch64 is version 7\.2; before 10\.0 it crashes") as caught:
        qemu.new_enough("qemu-aarch64", "qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)")
    assert "bookworm-backports qemu-user" in caught.value.hint
    with pytest.raises(EdgekitError, match="does not say its version"):
        qemu.new_enough("qemu-aarch64", "hello")


def test_another_system_than_the_boards_own_is_said() -> None:
    assert rootfs.standing_in(profiles.find("rpi5"))[1] == ""
    system, differs = rootfs.standing_in(profiles.find("jetson"))
    assert system.name == "bookworm" and "Python 3.11 stands in for Ubuntu 22.04 with Python 3.10" in differs


def test_limits_are_the_smallest_the_board_is_sold_with() -> None:
    limits = limits_of(profiles.find("rpi5"))
    assert limits.memory_bytes == 1 << 30 and limits.cores == 4
    assert limits_of(profiles.find("cm4")).storage_bytes == 8 * 10**9, "none (Lite), 8, 16 or 32 GB eMMC"
    assert limits_of(profiles.find("jetson-agx-orin-64gb")).storage_bytes == 64 * 10**9
    assert limits_of(profiles.find("rpi5"), memory_bytes=8 << 30).memory_bytes == 8 << 30
    command = prefix(limits)[len(process.bound([])) :]
    assert command[0] == "prlimit" and command[1] == f"--data={(1 << 30) + (160 << 20)}" and "taskset" in command


def test_a_model_or_a_system_that_does_not_fit_is_named_with_both_numbers(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=1000, cores=1, storage_bytes=100)
    with pytest.raises(GateFailed, match=r"'huge' does not fit: its model has 1001 bytes, the board's memory 1000"):
        ensure_loaded(limits, "huge", 1001)
    (tmp_path / "file").write_bytes(bytes(101))
    with pytest.raises(GateFailed, match="takes 101 bytes, the board's storage has 100"):
        ensure_stored(limits, "the system", [tmp_path])
    assert ensure_stored(limits, "the file", [tmp_path / "file", tmp_path / "file"][:0]) == 0


def test_a_model_larger_than_the_memory_ends_the_command_with_the_gates_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which(qemu.USER) is None:
        pytest.skip("no qemu-aarch64 here")
    assert main(["emulate", "--target", "rpi5", "--memory", "16K"]) == GateFailed.exit_code
    assert "does not fit" in capsys.readouterr().err


def test_wheels_of_another_python_or_machine_are_refused() -> None:
    bookworm = next(system for system in systems() if system.name == "bookworm")
    made = Wheelhouse(device="rpi5", system="trixie", python="3.13", machine="aarch64", requirements=(), wheels=())
    with pytest.raises(InputError, match=r"for aarch64 and Python 3\.13, the emulated system has aarch64 and 3\.11"):
        packages.ensure_for(made, bookworm)


def test_the_guest_gets_its_own_environment_and_nothing_of_this_machines() -> None:
    guest = Guest(core=core_of(profiles.find("rpi4")), tree=Path("/t"), python="3.11", packages=(Path("/a"), Path("/b")))
    command = qemu.command(guest, ["-c", "pass"])
    assert command[:2] == ["env", "-i"] and command[command.index("-cpu") + 1] == "cortex-a72"
    assert "PYTHONPATH=/a:/b" in command and "PYTHONHOME=/t/usr" in command
    assert command[-3:] == ["/t/usr/bin/python3.11", "-c", "pass"]


def test_requirements_are_the_packages_own_and_those_of_the_engines() -> None:
    lines = [
        "numpy>=1.24",
        'onnx>=1.16; extra == "convert"',
        'onnxruntime>=1.17; extra == "onnx"',
        'x>=1; python_version < "3.14" and extra == "litert"',
    ]
    assert requirements(lines, ("onnx", "litert")) == ["numpy>=1.24", "onnxruntime>=1.17", "x>=1"]


def test_what_is_made_is_whole_or_not_there_and_made_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise EdgekitError("the mirror does not answer")

    def works(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("whole")

    with pytest.raises(EdgekitError, match="mirror"):
        cache.made("thing", {"a": 1}, fails, tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []
    first = cache.made("thing", {"a": 1}, works, tmp_path)
    assert cache.made("thing", {"a": 1}, works, tmp_path) == first and len(calls) == 1
    assert cache.made("thing", {"a": 2}, works, tmp_path) != first
    assert (first / "file").read_text() == "whole"


def test_boards_are_checked_before_anything_is_made() -> None:
    with pytest.raises(Unsupported):
        board_of(profiles.find("coral-m2"))
