"""Boards that are flashed over USB: the steps and commands for each, what is refused by name, and the app's files for the first boot."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from edgekit.cli import main
from edgekit.core import profiles
from edgekit.core.errors import InputError, Unsupported
from edgekit.flash import environment, usb
from edgekit.flash.firstboot import jetson
from edgekit.flash.install import Install
from edgekit.models import digits

JETSONS = [device for device in profiles.devices() if device.family == "jetson" and device.name in usb._known()["jetsons"]]
INT8 = next(path for path in digits.artifacts() if path.name.endswith("int8"))


def commands(name: str, storage: str = "", folder: Path | None = None) -> list[str]:
    found = usb.guide(usb.Wish(device=profiles.find(name), storage=storage, folder=folder))
    return [step.run for step in found.steps if step.run]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    from edgekit import artifact as artifacts

    packages = tmp_path / environment.NAME
    packages.write_bytes(b"packages")
    return Install(app="digits", artifact=artifacts.read(INT8), environment=packages, packages=1, python="3.10")


def test_an_orin_nano_is_flashed_onto_its_nvme_with_the_line_that_nvidias_guide_has() -> None:
    line = (
        "sudo ./tools/kernel_flash/l4t_initrd_flash.sh --external-device nvme0n1p1 -c tools/kernel_flash/flash_l4t_t234_nvme.xml"
        ' -p "-c bootloader/generic/cfg/flash_t234_qspi.xml" --showlogs --network usb0 jetson-orin-nano-devkit internal'
    )
    assert line in commands("jetson-orin-nano") and line in commands("jetson-orin-nano", "nvme")


def test_the_super_configuration_is_another_board_to_the_tools() -> None:
    assert any(line.endswith(" jetson-orin-nano-devkit-super internal") for line in commands("jetson-orin-nano-super"))


@pytest.mark.parametrize(
    ("storage", "start", "end"),
    [("emmc", "sudo ./flash.sh", "internal"), ("nvme", "sudo ./tools/kernel_flash/l4t_initrd_flash.sh", "external")],
)
def test_an_agx_orin_boots_from_either_of_its_storages(storage: str, start: str, end: str) -> None:
    (line,) = (each for each in commands("jetson-agx-orin-64gb", storage) if "flash.sh" in each)
    assert line.startswith(start) and line.endswith(f"jetson-agx-orin-devkit {end}")


@pytest.mark.parametrize("device", JETSONS, ids=lambda device: device.name)
def test_every_command_is_for_the_release_of_the_profile_and_for_a_shell(device: profiles.Device) -> None:
    lines = commands(device.name)
    assert all(shlex.split(line) for line in lines)
    assert f"tar xf Jetson_Linux_R{device.facts['l4t'].value}*_aarch64.tbz2" in lines
    assert any(line.startswith("lsusb -d 0955:7") for line in lines)
    managers = [line for line in lines if line.startswith("sdkmanager")]
    assert all(f"--version {device.facts['jetpack'].value} " in line for line in managers)
    assert bool(managers) == (not device.name.startswith("jetson-thor"))


def test_every_board_of_the_table_is_a_profile() -> None:
    known = {device.name for device in profiles.devices()}
    assert {*usb._known()["jetsons"], *usb._known()["corals"]} <= known


def test_a_coral_dev_board_is_flashed_with_mdt_and_fastboot() -> None:
    lines = commands("coral-dev-board")
    assert lines[-4:] == ["mdt reboot-bootloader", "fastboot devices", "bash flash.sh", "mdt wait-for-device && mdt shell"]


@pytest.mark.parametrize(
    ("name", "storage", "said"),
    [
        ("jetson-nano", "", "no steps are known for flashing jetson-nano"),
        ("coral-usb", "", "no steps are known for flashing coral-usb"),
        ("jetson-orin-nano", "sd", "jetson-orin-nano with --storage sd"),
        ("jetson-thor-t5000", "emmc", "jetson-thor-t5000 with --storage emmc"),
        ("coral-dev-board", "nvme", "coral-dev-board with --storage nvme"),
    ],
)
def test_a_combination_that_nobody_has_written_down_is_refused_by_name(name: str, storage: str, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        commands(name, storage)


def test_an_app_is_refused_where_its_packages_would_not_run(install: Install) -> None:
    usb.ensure_installable(profiles.find("jetson-orin-nano"), install)
    with pytest.raises(InputError, match=r"for Python 3\.10, jetson-thor-t5000 has 3\.12"):
        usb.ensure_installable(profiles.find("jetson-thor-t5000"), install)
    with pytest.raises(Unsupported, match=r"coral-dev-board has 3\.7"):
        usb.ensure_installable(profiles.find("coral-dev-board"), install)


def test_the_first_boot_finds_the_script_where_the_steps_put_it(install: Install, tmp_path: Path) -> None:
    from edgekit.commands._flash_usb import write

    folder = tmp_path / "an app"
    write(install, folder, replace=False)
    assert (folder / "edgekit/install.sh").is_file() and (folder / "edgekit" / environment.NAME).read_bytes() == b"packages"
    copy = next(line for line in commands("jetson-orin-nano", folder=folder) if "cp -rT" in line)
    _, _, _, source, staged = shlex.split(copy)
    assert Path(source) == folder / "edgekit" and staged == f"rootfs/{jetson.FOLDER}"
    assert f"ExecStart=/bin/sh /{jetson.FOLDER}/install.sh" in (folder / jetson.SERVICE).read_text()
    with pytest.raises(InputError, match="exists"):
        write(install, folder, replace=False)


def test_the_command_prints_numbered_steps_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", "--target", "jetson-orin-nano", "--user", "ada", "--hostname", "edge-01"]) == 0
    text = capsys.readouterr().out
    assert " 1. On an x86-64" in text and "-u ada -p PASSWORD -n edge-01" in text and "no board has seen it" in text
    assert main(["flash", "--target", "jetson-orin-nano", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["target"], said["system"], said["storage"], said["folder"]) == (
        "jetson-orin-nano",
        "JetPack 6.2",
        "nvme",
        None,
    )
    assert {"do", "run"} == set(said["steps"][0]) and said["steps"][0]["run"] is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--wifi", "home"], 2, "--wifi is of boards with a card"),
        (["--sha256", "00"], 2, "--sha256 is of boards with a card"),
        (["--hostname", "a;reboot"], 1, "hostname"),
        (["--output", "x"], 2, "--app needs --output"),
    ],
)
def test_nothing_that_was_asked_for_is_dropped(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["flash", "--target", "jetson-orin-nano", *words]) == code
    assert said in capsys.readouterr().err
