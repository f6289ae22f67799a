"""A Jetson's card image gets its settings and its app in the root file system, without root and without being mounted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cards import jetson_image

from edgekit import artifact as artifacts
from edgekit.cli import main
from edgekit.core import profiles
from edgekit.core.errors import EdgekitError, InputError
from edgekit.flash import environment, ext4, firstboot
from edgekit.flash.firstboot.jetson import FOLDER, SERVICE
from edgekit.flash.flash import flash
from edgekit.flash.image import look_at
from edgekit.flash.install import Install
from edgekit.flash.partitions import named_partition
from edgekit.flash.plan import Plan, checked
from edgekit.flash.settings import Settings, wifi
from edgekit.models import digits

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDLq2Xm1n1o3o0b0y0a6b0d0c0e0f0g0h0i0j0k0l0m0 ada@desk"
SETTINGS = Settings(
    hostname="edge-01", user="ada", ssh_keys=(KEY,), timezone="Europe/Berlin", wifi=wifi("home 😀", 'a "secret"', "DE")
)
UNITS = "etc/systemd/system"
PROGRAMS = ("sfdisk", "mke2fs", "debugfs", "e2fsck")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    missing = [name for name in PROGRAMS if shutil.which(name, path="/usr/sbin:/sbin:/usr/bin") is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not on this machine")
    return jetson_image(tmp_path / "jetson.img")


def install(folder: Path, python: str = "3.10") -> Install:
    packages = folder / environment.NAME
    packages.write_bytes(b"the packages")
    artifact = next(path for path in digits.artifacts() if path.name.endswith("int8"))
    return Install(app="digits", artifact=artifacts.read(artifact), environment=packages, packages=1, python=python)


def plan(image: Path, **changed: object) -> Plan:
    kept = {"output": image.with_name("card.img"), "first_boot": "jetson", "settings": SETTINGS}
    device = profiles.find("jetson-orin-nano")
    return Plan(image=look_at(image), **{"device": device, **kept, **changed})  # type: ignore[arg-type]


def test_settings_and_app_are_in_the_partition_app_and_its_file_system_is_sound(image: Path, tmp_path: Path) -> None:
    done = flash(checked(plan(image, install=install(tmp_path))))
    card, root = tmp_path / "card.img", named_partition(tmp_path / "card.img", "APP")
    assert {f"{FOLDER}/firstrun.sh", f"{FOLDER}/install.sh", f"{FOLDER}/release/artifact/manifest.json"} <= set(done.added)
    assert ext4.read_file(card, root, f"{FOLDER}/{environment.NAME}") == b"the packages"
    assert ext4.read_file(card, root, "etc/hostname") == b"tegra-ubuntu\n", "the board does it, at its first boot"
    assert f"ExecStart=/bin/sh /{FOLDER}/firstrun.sh" in ext4.read_file(card, root, f"{UNITS}/{SERVICE}").decode()
    fsck = subprocess.run(["/sbin/e2fsck", "-fn", ext4.place(card, root)], capture_output=True, text=True, check=False)
    assert fsck.returncode == 0, fsck.stdout
    behind = root.start + root.bytes
    assert card.read_bytes()[behind:] == image.read_bytes()[behind:], "the other partitions"


def test_with_a_user_the_wizard_that_wants_a_screen_is_passed_by_and_without_one_it_stays(image: Path, tmp_path: Path) -> None:
    flash(checked(plan(image)))
    card, root = tmp_path / "card.img", named_partition(tmp_path / "card.img", "APP")
    assert ext4.link_of(card, root, f"{UNITS}/default.target") == "/lib/systemd/system/graphical.target"
    assert ext4.link_of(card, root, f"{UNITS}/nv-oem-config.service") == "/dev/null"
    assert ext4.link_of(card, root, f"{UNITS}/multi-user.target.wants/{SERVICE}") == f"/{UNITS}/{SERVICE}"
    flash(checked(plan(image, settings=Settings(hostname="edge-01"), replace=True)))
    assert ext4.link_of(card, root, f"{UNITS}/default.target") == "/lib/systemd/system/nv-oem-config.target"


def test_flashed_again_the_card_has_the_new_settings_alone(image: Path, tmp_path: Path) -> None:
    flash(checked(plan(image)))
    card = tmp_path / "card.img"
    again = plan(card, output=tmp_path / "again.img", settings=Settings(hostname="edge-02"))
    flash(checked(again))
    script = ext4.read_file(tmp_path / "again.img", named_partition(card, "APP"), f"{FOLDER}/firstrun.sh").decode()
    assert "edge-02" in script and "edge-01" not in script


def test_an_image_of_another_jetson_linux_is_refused(tmp_path: Path, image: Path) -> None:
    old = jetson_image(tmp_path / "old.img", release="32")
    with pytest.raises(InputError, match=r"this image has Jetson Linux 32, a .* takes 36"):
        flash(checked(plan(old)))
    assert not (tmp_path / "card.img").exists()


def test_an_app_that_does_not_fit_is_refused_and_leaves_no_card(tmp_path: Path, image: Path) -> None:
    small, wanted = jetson_image(tmp_path / "small.img", app_mib=16), install(tmp_path)
    wanted.environment.write_bytes(bytes(20 << 20))
    with pytest.raises(InputError, match="the partition has"):
        flash(checked(plan(small, install=wanted)))
    assert not (tmp_path / "card.img").exists()


def test_a_file_system_that_was_not_left_clean_is_refused(image: Path, tmp_path: Path) -> None:
    """Its journal would be replayed on the board, over what was written here."""
    root = named_partition(image, "APP")
    subprocess.run(ext4.command(image, root, ["-w", "-R", "feature needs_recovery"]), check=True, capture_output=True)
    with pytest.raises(InputError, match="was not left clean"):
        flash(checked(plan(image)))
    assert not (tmp_path / "card.img").exists()


def test_packages_for_another_python_are_refused_before_anything_is_written(image: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match=r"packages are for Python 3\.11, jetson-orin-nano has 3\.10"):
        checked(plan(image, install=install(tmp_path, "3.11")))


def test_the_script_does_every_step_by_hand_and_again_without_harm(tmp_path: Path) -> None:
    """It runs here in a folder of its own, with stand-ins for the board's programs."""
    made = firstboot.boot_files("jetson", SETTINGS, install_script="edgekit/install.sh", stamp="s")
    here, programs = tmp_path / FOLDER, tmp_path / "programs"
    for each in (
        "etc/sudoers.d",
        "etc/modprobe.d",
        "etc/NetworkManager/system-connections",
        "home",
        FOLDER,
        "usr/share/zoneinfo/Europe",
    ):
        (tmp_path / each).mkdir(parents=True)
    (tmp_path / "etc/hostname").write_text("tegra-ubuntu\n")
    (tmp_path / "etc/hosts").write_text("127.0.1.1\ttegra-ubuntu\n")
    (tmp_path / "usr/share/zoneinfo/Europe/Berlin").touch()
    programs.mkdir()
    for name in ("useradd", "chpasswd", "chown", "systemctl", "rfkill", "getent"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/asked\n')
        (programs / name).chmod(0o755)
    (programs / "install").write_text('#!/bin/sh\nfor last; do :; done\nmkdir -p "$last"\n')
    (programs / "install").chmod(0o755)
    script = made.files[f"{FOLDER}/firstrun.sh"].decode()
    for place in ("/etc/", "/home/", f"/{FOLDER}", "/usr/share/zoneinfo"):
        script = script.replace(place, f"{tmp_path}{place}")
    (here / "firstrun.sh").write_text(script)
    (here / "install.sh").write_text(f"[ -e {tmp_path}/ready ] || exit 1\n")
    run = ["env", f"PATH={programs}:/usr/bin:/bin", "sh", str(here / "firstrun.sh")]
    assert subprocess.run(run, check=False).returncode == 1, "an app that is not installed is tried again at the next start"
    (tmp_path / "ready").touch()
    assert subprocess.run(run, check=False).returncode == 0
    log = (here / "firstboot.log").read_text()
    assert log.count("FAILED") == 1 and "ok      install the app" in log, log
    assert (tmp_path / "etc/hostname").read_text() == "edge-01\n" and "edge-01" in (tmp_path / "etc/hosts").read_text()
    assert (tmp_path / "home/ada/.ssh/authorized_keys").read_text() == f"{KEY}\n", "once, though it ran twice"
    assert (tmp_path / "etc/sudoers.d/edgekit").read_text() == "ada ALL=(ALL) NOPASSWD:ALL\n"
    network = (tmp_path / "etc/NetworkManager/system-connections/edgekit.nmconnection").read_text()
    assert "".join(f"{byte};" for byte in "home 😀".encode()) in network and "secret" not in network


def test_the_command_flashes_a_card_for_a_jetson(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "card.img"
    words = ["flash", "--target", "jetson-orin-nano", "--image", str(image), "-o", str(card), "--hostname", "edge-01"]
    assert main(words) == 1 and "--first-boot" in capsys.readouterr().err, "the format is never guessed"
    assert main([*words, "--first-boot", "jetson"]) == 0 and card.exists()
