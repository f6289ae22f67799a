"""Boards that are flashed over USB with their maker's tools: the steps and the ready commands. Nothing of it is run here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from edgekit.core.errors import InputError, Unsupported
from edgekit.core.schema import Device
from edgekit.core.strict_yaml import parse
from edgekit.flash.firstboot.jetson import FOLDER, SERVICE
from edgekit.flash.install import Install
from edgekit.flash.systems import system_of

WANTS = f"etc/systemd/system/multi-user.target.wants/{SERVICE}"
NVIDIA = "0955"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, and the command that does it; empty: it is done by hand."""

    do: str
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What shall be flashed where; `folder` holds the app's files when there is an app (`files_of`)."""

    device: Device
    storage: str = ""
    user: str = ""
    hostname: str = ""
    folder: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """The steps, and what they are for."""

    system: str
    storage: str
    steps: tuple[Step, ...]


def guide(wish: Wish) -> Guide:
    """How the board is flashed. Raises `Unsupported`, by name, where no steps are known."""
    name = wish.device.name
    if name in _known()["corals"]:
        return _coral(wish, _known()["corals"][name])
    if name in _known()["jetsons"]:
        return _jetson(wish, _known()["jetsons"][name])
    known = ", ".join(sorted([*_known()["jetsons"], *_known()["corals"]]))
    raise Unsupported(f"no steps are known for flashing {name} ({wish.device.title}) over USB", f"they are for {known}")


def ensure_installable(device: Device, install: Install) -> None:
    """Raises `Unsupported` where edgekit does not run on the board's own system, `InputError` where the packages are another Python's."""
    coral = _known()["corals"].get(device.name)
    if coral is not None:
        raise Unsupported(f"an app needs Python 3.10; the system of {device.name} has {coral['python']}", "leave out --app")
    python = ".".join(map(str, system_of(device).python))
    if install.python != python:
        raise InputError(
            f"the packages are for Python {install.python}, {device.name} has {python}",
            f"edgekit wheelhouse --target {device.name} -o DIR",
        )


@cache
def _known() -> Mapping[str, Any]:
    known: Mapping[str, Any] = parse((files("edgekit.flash") / "usb.yaml").read_text("utf-8"), "usb.yaml")
    return known


def _jetson(wish: Wish, of: Mapping[str, Any]) -> Guide:
    jetpack, release = (str(wish.device.facts[name].value) for name in ("jetpack", "l4t"))
    command = _command(wish, of, release)
    sample = f"Tegra_Linux_Sample-Root-Filesystem_R{release}*_aarch64.tbz2"
    steps = [
        Step(
            do=f"On an x86-64 Ubuntu computer, no virtual machine: download Jetson Linux {release} (JetPack {jetpack}) and its sample root file system from NVIDIA"
        ),
        Step(do="Unpack Jetson Linux", run=f"tar xf Jetson_Linux_R{release}*_aarch64.tbz2"),
        Step(do="Unpack the root file system into it", run=f"sudo tar xpf {sample} -C Linux_for_Tegra/rootfs/"),
        Step(do="Everything from here on happens in that folder", run="cd Linux_for_Tegra"),
        Step(do="Install what the tools need", run="sudo ./tools/l4t_flash_prerequisites.sh"),
        Step(
            do="Put NVIDIA's drivers into the root file system",
            run=" ".join(["sudo ./apply_binaries.sh", *_words(of, "binaries")]),
        ),
        _user(wish),
        *(_staged(wish.folder) if wish.folder else ()),
        Step(
            do="Put the board into recovery mode (its recovery button or pins), with a USB cable to this computer, without a hub"
        ),
        Step(
            do="It must be seen as this very module; no line: not in recovery mode, or another module",
            run=f"lsusb -d {NVIDIA}:{of['recovery']}",
        ),
        Step(
            do=f"Flash. EVERYTHING ON THE BOARD'S {command['storage'].upper()} WILL BE LOST",
            run=command["line"].format(board=of["board"]),
        ),
        Step(do="When it ends well, take off the recovery jumper and start the board anew"),
    ]
    if of["sdk"] and wish.folder is None:
        steps.append(Step(do="Or, instead of all of it, SDK Manager", run=_sdk_manager(of["sdk"], jetpack)))
    return Guide(system=f"JetPack {jetpack}", storage=command["storage"], steps=tuple(steps))


def _command(wish: Wish, of: Mapping[str, Any], release: str) -> Mapping[str, Any]:
    """The flash command for the storage that is wished. Raises `Unsupported` when none is known for it, or for the release."""
    known = [_known()["commands"][name] for name in of["commands"]]
    fitting = [each for each in known if str(each["l4t"]) == release.partition(".")[0]]
    if not fitting:
        raise Unsupported(f"no flash command is known for {wish.device.name} with Jetson Linux {release}")
    found = next((each for each in fitting if wish.storage in ("", each["storage"])), None)
    if found is None:
        storages = ", ".join(each["storage"] for each in fitting)
        hint = f"--storage {storages}" + (
            "; a card is written from NVIDIA's card image with --image" if wish.storage == "sd" else ""
        )
        raise Unsupported(f"no flash command is known for {wish.device.name} with --storage {wish.storage}", hint)
    return found  # type: ignore[no-any-return]


def _words(of: Mapping[str, Any], name: str) -> list[str]:
    return [of[name]] if name in of else []


def _user(wish: Wish) -> Step:
    user, host = (shlex.quote(word) for word in (wish.user or "USER", wish.hostname or "HOSTNAME"))
    run = f"sudo ./tools/l4t_create_default_user.sh -u {user} -p PASSWORD -n {host} --accept-license"
    return Step(do="Make the user, so that no screen is needed at the first boot; this accepts NVIDIA's licence", run=run)


def _staged(folder: Path) -> tuple[Step, ...]:
    here = shlex.quote(str(folder.resolve()))
    return (
        Step(do="Put the app's files into the root file system", run=f"sudo cp -rT {here}/edgekit rootfs/{FOLDER}"),
        Step(
            do="and the service that installs them at the first boot",
            run=f"sudo cp {here}/{SERVICE} rootfs/etc/systemd/system/",
        ),
        Step(do="which starts with the board", run=f"sudo ln -sf /etc/systemd/system/{SERVICE} rootfs/{WANTS}"),
    )


def _sdk_manager(target: str, jetpack: str) -> str:
    words = "sdkmanager --cli --action install --login-type devzone --product Jetson"
    return f"{words} --version {jetpack} --target-os Linux --target {target} --flash"


def _coral(wish: Wish, of: Mapping[str, Any]) -> Guide:
    if wish.storage not in ("", "emmc"):
        raise Unsupported(f"no steps are known for {wish.device.name} with --storage {wish.storage}", "--storage emmc")
    if wish.user or wish.hostname:
        raise Unsupported(f"{wish.device.name} takes no user or host name while it is flashed", "set them over `mdt shell`")
    package = of["package"]
    steps = (
        Step(do="Install fastboot and Mendel's tool", run="sudo apt install fastboot && pip install mendel-development-tool"),
        Step(do="Download the system", run=f"curl -O {of['url']}/{package}.zip"),
        Step(do="Unpack it", run=f"unzip {package}.zip && cd {package}"),
        Step(do="Power the board, with a USB cable from this computer to its OTG port"),
        Step(do="Put it into fastboot mode", run="mdt reboot-bootloader"),
        Step(do="or, where no system runs on it, at the U-Boot prompt of its serial console (115200 baud): fastboot 0"),
        Step(do="It must be listed", run="fastboot devices"),
        Step(do="Flash. EVERYTHING ON THE BOARD'S EMMC WILL BE LOST", run="bash flash.sh"),
        Step(do="It starts anew; log in", run="mdt wait-for-device && mdt shell"),
    )
    return Guide(system="Mendel Linux", storage="emmc", steps=steps)
