"""An image becomes a card: written, read back, given its settings; and what is left when something goes wrong on the way."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from cards import BOOT_FILES, card_image

from edgekit.cli import main
from edgekit.core import profiles
from edgekit.core.errors import DeviceError, InputError
from edgekit.core.files import sha256_file
from edgekit.core.progress import silent
from edgekit.flash import environment, fat
from edgekit.flash.customise import appended, customise
from edgekit.flash.flash import flash, onto
from edgekit.flash.image import look_at, opened
from edgekit.flash.install import install_of
from edgekit.flash.partitions import boot_partition
from edgekit.flash.plan import Plan, checked, steps
from edgekit.flash.settings import Settings, wifi
from edgekit.flash.target import Medium, new_file
from edgekit.flash.wheelhouse import MANIFEST, Wheel, Wheelhouse
from edgekit.flash.write import HEAD_BYTES, Expected, write
from edgekit.models import digits

needs_mtools = pytest.mark.skipif(
    shutil.which("mcopy") is None or shutil.which("mkfs.vfat") is None, reason="mtools or dosfstools are not on this machine"
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDLq2Xm1n1o3o0b0y0a6b0d0c0e0f0g0h0i0j0k0l0m0 ada@desk"
SETTINGS = Settings(hostname="edge-01", user="ada", ssh_keys=(KEY,), wifi=wifi("home 😀", 'it\'s a "secret"', "DE"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pi's card image, packed as they are published."""
    if shutil.which("mkfs.vfat") is None or shutil.which("mcopy") is None:
        pytest.skip("mtools or dosfstools are not on this machine")
    folder = tmp_path_factory.mktemp("image")
    plain = card_image(folder / "raspios.img")
    packed = folder / "raspios.img.xz"
    packed.write_bytes(lzma.compress(plain.read_bytes(), preset=0))
    return packed


def contents(image: Path) -> bytes:
    return lzma.decompress(image.read_bytes())


def test_the_card_holds_the_image_byte_for_byte_and_both_hashes_are_said(image: Path, tmp_path: Path) -> None:
    done = flash(checked(Plan(image=look_at(image), output=tmp_path / "card.img")))
    assert (tmp_path / "card.img").read_bytes() == contents(image)
    assert done.written.sha256 == hashlib.sha256(contents(image)).hexdigest()
    assert done.written.file_sha256 == hashlib.sha256(image.read_bytes()).hexdigest()


def test_zeros_take_no_room_in_a_file(image: Path, tmp_path: Path) -> None:
    flash(Plan(image=look_at(image), output=tmp_path / "card.img"))
    found = (tmp_path / "card.img").stat()
    assert found.st_blocks * 512 < found.st_size / 2


@pytest.mark.parametrize("which", ["file_sha256", "sha256"])
def test_an_image_with_another_hash_leaves_nothing_behind(image: Path, tmp_path: Path, which: str) -> None:
    plan = Plan(image=look_at(image), output=tmp_path / "card.img", expected=Expected(**{which: "0" * 64}))
    with pytest.raises(InputError, match="sha256") as refusal:
        flash(plan)
    assert "nothing was left behind" in refusal.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_image_leaves_nothing_behind_and_no_old_card_is_lost(image: Path, tmp_path: Path) -> None:
    (tmp_path / "card.img").write_text("the card of yesterday")
    broken = tmp_path / "broken.img.xz"
    broken.write_bytes(image.read_bytes()[:-5000])
    with pytest.raises(InputError, match="damaged or cut off"):
        flash(Plan(image=look_at(broken), output=tmp_path / "card.img", replace=True))
    assert (tmp_path / "card.img").read_text() == "the card of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.img.xz", "card.img"]


def test_an_image_larger_than_the_card_is_stopped_before_it_ends(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.img.gz"
    bomb.write_bytes(gzip.compress(bytes(64 << 20)))
    room = pytest.raises(InputError, match="room for")
    with new_file(tmp_path / "card.img", replace=False) as medium, opened(look_at(bomb)) as stream, room:
        write(stream, medium, limit_bytes=8 << 20, expected=Expected(), progress=silent)


@contextmanager
def drive(path: Path, kind: type[Medium] = Medium) -> Iterator[Medium]:
    """A file that is written as a drive is: in place, and what goes wrong is left as it is."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield kind(path, descriptor, sparse=False)
    finally:
        os.close(descriptor)


class _Forgetful(Medium):
    """A worn-out card: what it was given it does not give back."""

    def write(self, data: bytes, offset: int) -> None:
        super().write(bytes(len(data)) if offset else data, offset)


class _Full(Medium):
    """A card that is pulled out in the middle."""

    def write(self, data: bytes, offset: int) -> None:
        if offset > 8 << 20:
            raise DeviceError(f"writing {str(self.path)!r} at byte {offset} failed: No such device", "is it still there?")
        super().write(data, offset)


@pytest.mark.parametrize(("kind", "said"), [(_Forgetful, "gives back other bytes"), (_Full, "No such device")])
def test_a_medium_that_fails_is_left_without_a_partition_table(
    kind: type[Medium], said: str, image: Path, tmp_path: Path
) -> None:
    """As on a drive: the file keeps what was written, and its first megabyte is zeros, so that no board boots half an image."""
    card = tmp_path / "drive"
    card.write_bytes(contents(image)[: 60 << 20])
    with drive(card, kind) as medium, opened(look_at(image)) as stream, pytest.raises(DeviceError, match=said) as refusal:
        write(stream, medium, limit_bytes=1 << 30, expected=Expected(), progress=silent)
    assert "does not boot" in refusal.value.hint
    assert card.read_bytes()[:HEAD_BYTES] == bytes(HEAD_BYTES)


class _Stopped(Medium):
    """A card while somebody presses Ctrl-C."""

    def write(self, data: bytes, offset: int) -> None:
        if offset > 8 << 20:
            raise KeyboardInterrupt
        super().write(data, offset)


def for_a_zero_2_w(image: Path, output: Path) -> Plan:
    """Onto a card for a board that the image does not boot."""
    device = profiles.find("rpi-zero-2w")
    return Plan(image=look_at(image), output=output, first_boot="firstrun", settings=SETTINGS, device=device)


def test_who_stops_it_is_told_that_the_card_holds_part_of_the_image(image: Path, tmp_path: Path) -> None:
    plan = Plan(image=look_at(image), output=tmp_path / "drive")
    with drive(plan.target, _Stopped) as medium, pytest.raises(KeyboardInterrupt, match="part of the image and does not boot"):
        onto(medium, plan)
    assert plan.target.read_bytes()[:HEAD_BYTES] == bytes(HEAD_BYTES)


@needs_mtools
def test_a_card_that_got_its_image_and_not_its_settings_is_said_to_boot_without_them(image: Path, tmp_path: Path) -> None:
    plan = for_a_zero_2_w(image, tmp_path / "drive")
    plan.target.write_bytes(bytes(len(contents(image))))
    with drive(plan.target) as medium, pytest.raises(InputError, match="does not boot a Raspberry Pi Zero 2 W") as refusal:
        onto(medium, plan)
    assert "holds the image, which boots, but not all of its settings" in refusal.value.hint
    assert plan.target.read_bytes() == contents(image)


def test_killed_in_the_middle_it_leaves_no_card_that_looks_whole(tmp_path: Path) -> None:
    noise = tmp_path / "noise.img"
    noise.write_bytes(os.urandom(48 << 20) * 4)
    command = [sys.executable, "-m", "edgekit", "flash", "--image", str(noise), "-o", str(tmp_path / "card.img")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        partial = tmp_path / ".card.img.partial"
        end = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size > 8 << 20) and time.monotonic() < end:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "card.img").exists()
    if partial.exists():
        with partial.open("rb") as file:
            assert file.read(HEAD_BYTES) == bytes(HEAD_BYTES)
    assert main(["flash", "--image", str(noise), "-o", str(tmp_path / "card.img")]) == 0, "and the next try works"
    assert not partial.exists()


# Settings on the card


@needs_mtools
@pytest.mark.parametrize("first_boot", ["firstrun", "cloudinit", "cloudinit_rpi", "rpi_preseed"])
def test_settings_and_app_are_in_the_boot_partition_and_the_rest_is_untouched(
    first_boot: str, image: Path, tmp_path: Path
) -> None:
    plan = checked(
        Plan(
            image=look_at(image),
            output=tmp_path / "card.img",
            first_boot=first_boot,
            settings=SETTINGS,
            install=install_of("digits", artifact(), wheelhouse(tmp_path)),
            device=profiles.find("rpi5"),
        )
    )
    done = flash(plan)
    card = tmp_path / "card.img"
    boot = boot_partition(card)
    assert {"edgekit/install.sh", "edgekit/units/edgekit-app.service", "edgekit/release/artifact/manifest.json"} <= set(
        done.added
    )
    assert fat.read_file(card, boot, f"edgekit/{environment.NAME}") == b"the packages"
    assert fat.read_file(card, boot, "config.txt") == BOOT_FILES["config.txt"]
    assert card.read_bytes()[boot.start + boot.bytes :] == contents(image)[boot.start + boot.bytes :], "the other partition"
    line = fat.read_file(card, boot, "cmdline.txt").decode()
    assert line.startswith(BOOT_FILES["cmdline.txt"].decode().strip()) and line.count("\n") == 1
    fsck = subprocess.run(["fsck.vfat", "-n", str(_cut(card, tmp_path))], capture_output=True, text=True, check=False)
    assert fsck.returncode == 0, fsck.stdout


def _cut(card: Path, folder: Path) -> Path:
    boot = boot_partition(card)
    (folder / "boot.fat").write_bytes(card.read_bytes()[boot.start : boot.start + boot.bytes])
    return folder / "boot.fat"


def artifact() -> Path:
    return next(path for path in digits.artifacts() if path.name.endswith("int8"))


def wheelhouse(folder: Path) -> Path:
    made = folder / "wheels"
    made.mkdir()
    (made / "edgekit-0.1.0-py3-none-any.whl").write_bytes(b"edgekit's wheel")
    (made / environment.NAME).write_bytes(b"the packages")
    _describe(made)
    return made


def _describe(folder: Path) -> None:
    """Write the wheelhouse's manifest for the files that are there."""
    files = [*sorted(folder.glob("*.whl")), folder / environment.NAME]
    *wheels, packed = (Wheel(name=one.name, sha256=sha256_file(one), bytes=one.stat().st_size) for one in files)
    described = Wheelhouse(
        device="rpi5",
        system="trixie",
        python="3.13",
        machine="aarch64",
        requirements=("edgekit",),
        wheels=tuple(wheels),
        environment=packed,
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(described))


@needs_mtools
def test_flashing_the_card_again_replaces_what_the_last_flash_added(image: Path, tmp_path: Path) -> None:
    plan = Plan(image=look_at(image), output=tmp_path / "card.img", first_boot="cloudinit", settings=SETTINGS)
    flash(plan)
    card = tmp_path / "card.img"
    before = fat.read_file(card, boot_partition(card), "cmdline.txt").decode()
    customise(plan, card, settle=lambda: None)
    after = fat.read_file(card, boot_partition(card), "cmdline.txt").decode()
    assert after.count("ds=nocloud") == 1 and after != before, "one instance, and a new one"


@needs_mtools
def test_settings_that_read_back_otherwise_than_they_were_written_are_said(image: Path, tmp_path: Path) -> None:
    plan = Plan(image=look_at(image), output=tmp_path / "card.img", first_boot="cloudinit", settings=SETTINGS)
    card, other = tmp_path / "card.img", tmp_path / "other"
    card.write_bytes(contents(image))
    other.mkdir()
    (other / "user-data").write_text("#cloud-config\n{}\n")

    def worn_out() -> None:
        fat.copy_tree(card, boot_partition(card), other)

    with pytest.raises(DeviceError, match=r"'user-data' reads back differently from .*card.img"):
        customise(plan, card, settle=worn_out)


def test_the_kernels_line_stays_one_line() -> None:
    assert appended(b"a=1 b\r\nc\n\n", "ds=x y=2") == b"a=1 b c ds=x y=2\n"
    assert appended(b"a=1 ds=old y=1\n", "ds=new y=2") == b"a=1 ds=new y=2\n"
    assert appended(b"name=\xff\n", "x=1") == b"name=\xff x=1\n"


@needs_mtools
def test_an_image_for_another_board_is_refused_by_its_device_tree(image: Path, tmp_path: Path) -> None:
    plan = for_a_zero_2_w(image, tmp_path / "card.img")
    with pytest.raises(InputError, match=r"does not boot a Raspberry Pi Zero 2 W: .* lacks bcm2710-rpi-zero-2-w.dtb"):
        flash(plan)
    assert not (tmp_path / "card.img").exists()


@needs_mtools
def test_an_app_that_does_not_fit_is_said_with_both_numbers(image: Path, tmp_path: Path) -> None:
    folder = wheelhouse(tmp_path)
    (folder / environment.NAME).write_bytes(os.urandom(40 << 20))
    _describe(folder)
    plan = Plan(
        image=look_at(image),
        output=tmp_path / "card.img",
        first_boot="firstrun",
        settings=SETTINGS,
        install=install_of("digits", artifact(), folder),
    )
    with pytest.raises(InputError, match=r"has \d+ MiB free, app and packages need \d+"):
        flash(plan)
    assert not (tmp_path / "card.img").exists()


def test_settings_without_a_known_format_are_refused_before_anything_is_written(image: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not known: it is not written in the image"):
        checked(Plan(image=look_at(image), output=tmp_path / "card.img", settings=SETTINGS))


def test_the_plan_says_every_step(image: Path, tmp_path: Path) -> None:
    plan = Plan(image=look_at(image), output=tmp_path / "card.img", first_boot="cloudinit", settings=SETTINGS)
    said = "\n".join(steps(plan))
    for wanted in ("raspios.img.xz (xz,", "compare no hash", "read everything back", "user-data", "ds=nocloud"):
        assert wanted in said


# The command line


@needs_mtools
def test_the_command_takes_hashes_and_format_from_imagers_catalogue(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {
        "name": "Raspberry Pi OS Lite (64-bit)",
        "url": f"https://downloads.example.com/images/{image.name}",
        "extract_size": len(contents(image)),
        "extract_sha256": hashlib.sha256(contents(image)).hexdigest(),
        "image_download_sha256": hashlib.sha256(image.read_bytes()).hexdigest(),
        "init_format": "cloudinit-rpi",
        "devices": ["pi5-64bit"],
    }
    catalogue = tmp_path / "os_list.json"
    catalogue.write_text(json.dumps({"imager": {}, "os_list": [{"name": "Raspberry Pi OS", "subitems": [entry]}]}))
    (tmp_path / "id.pub").write_text(KEY + "\n")
    command = ["flash", "--image", str(image), "-t", "rpi5", "-o", str(tmp_path / "card.img"), "--catalogue", str(catalogue)]
    command += ["--user", "ada", "--ssh-key", str(tmp_path / "id.pub"), "--hostname", "edge-01", "--json"]
    assert main([*command, "--dry-run"]) == 0
    assert "cloudinit_rpi" in json.loads(capsys.readouterr().out)["steps"][3]
    assert not (tmp_path / "card.img").exists()
    assert main(command) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["first_boot"] == "cloudinit_rpi" and "user-data" in done["added"]


def test_a_catalogue_of_another_hash_refuses_the_image(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {
        "name": "x",
        "url": f"https://example.com/{image.name}",
        "image_download_sha256": "ab" * 32,
        "init_format": "systemd",
    }
    (tmp_path / "list.json").write_text(json.dumps({"os_list": [entry]}))
    command = ["flash", "--image", str(image), "-o", str(tmp_path / "card.img"), "--catalogue", str(tmp_path / "list.json")]
    assert main(command) == 1
    assert "do not use this one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--wifi-country", "DE"], "Wi-Fi settings without a network"),
        (["--artifact", "a"], "without an app"),
        (["--app", "digits"], "needs its artifact and wheels"),
        (["--hostname", "no good"], "cannot be a hostname"),
        (["--ssh-key", "/nowhere.pub", "--user", "ada"], "no SSH key"),
        (["--device", "/dev/nothing-here", "--hostname", "x"], "no drive at"),
        (["--sha256", "d41d8cd98f00b204e9800998ecf8427e"], "64 hex digits, this has 32"),
        (["--sha256", "sha256:" + "ab" * 32], "is no sha256"),
    ],
)
def test_what_does_not_fit_together_is_said(
    image: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if "--device" in more else ["-o", "card.img"]
    if "--device" in more and shutil.which("lsblk") is None:
        pytest.skip("no lsblk here")
    assert main(["flash", "--image", str(image), *where, *more]) in (1, 2)
    assert said in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("lsblk") is None, reason="no lsblk here")
def test_the_drives_of_this_machine_are_listed_and_its_own_disk_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", "--drives", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["drives"]
    roots = [drive for drive in listed if "/" in drive["mounted"]]
    assert all(drive["refused"] for drive in roots)
