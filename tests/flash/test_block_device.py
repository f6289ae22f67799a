"""Flashing onto a real block device: a loop device of this machine, where root may make one."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cards import BOOT_START, card_image

from edgekit.core.errors import DeviceError, InputError
from edgekit.flash import fat
from edgekit.flash.drives import Drive, Wanted, find, list_drives, refusals
from edgekit.flash.flash import flash
from edgekit.flash.image import look_at
from edgekit.flash.partitions import boot_partition
from edgekit.flash.plan import Plan
from edgekit.flash.settings import Settings
from edgekit.flash.target import open_drive
from edgekit.flash.write import HEAD_BYTES

BOOT_MIB, CARD_MIB = 40, 64
USED = b"\xa5" * 4096
MakeDrive = Callable[..., Drive]


@pytest.fixture
def make_drive(tmp_path: Path) -> Iterator[MakeDrive]:
    """Loop devices that were used before, described as lsblk would a card's."""
    if os.getuid() != 0 or shutil.which("losetup") is None or shutil.which("lsblk") is None:
        pytest.skip("a loop device needs root and losetup")
    made: list[str] = []

    def make(mib: int = CARD_MIB, *options: str) -> Drive:
        file = tmp_path / f"card-{len(made)}"
        file.write_bytes(USED * (mib << 8))
        done = subprocess.run(["losetup", "-f", "--show", *options, str(file)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no loop device can be made here: {done.stderr.strip()}")
        made.append(done.stdout.strip())
        return find(Path(made[-1]), list_drives())

    yield make
    for device in made:
        subprocess.run(["losetup", "-d", device], check=True)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("mkfs.vfat") is None or shutil.which("mcopy") is None:
        pytest.skip("mtools or dosfstools are not on this machine")
    plain = card_image(tmp_path_factory.mktemp("image") / "raspios.img", boot_mib=BOOT_MIB)
    packed = plain.with_suffix(".img.xz")
    packed.write_bytes(lzma.compress(plain.read_bytes(), preset=0))
    return packed


def contents(drive: Drive, size: int = -1) -> bytes:
    with drive.path.open("rb") as device:
        return device.read(size)


def test_a_used_card_holds_the_image_and_the_settings_and_nothing_of_what_it_held_before(
    make_drive: MakeDrive, image: Path
) -> None:
    drive, wanted = make_drive(), lzma.decompress(image.read_bytes())
    done = flash(Plan(image=look_at(image), drive=drive, first_boot="cloudinit", settings=Settings(hostname="edge-01")))
    found = contents(drive)
    behind = BOOT_START + (BOOT_MIB << 20)
    assert found[:BOOT_START] == wanted[:BOOT_START] and found[behind : len(wanted)] == wanted[behind:]
    assert b'"hostname": "edge-01"' in fat.read_file(drive.path, boot_partition(drive.path), "user-data")
    assert set(done.added) == {"cmdline.txt", "meta-data", "network-config", "user-data"}
    assert USED not in found[: len(wanted)] and found[len(wanted) :] == USED * ((len(found) - len(wanted)) // len(USED))


def test_while_it_is_written_nobody_else_gets_the_card(make_drive: MakeDrive) -> None:
    """A desktop would mount its partitions as soon as it sees them."""
    drive = make_drive()
    with open_drive(drive), pytest.raises(DeviceError, match="cannot be written: Device or resource busy"), open_drive(drive):
        pass


def test_a_card_smaller_than_the_image_is_left_without_a_partition_table(make_drive: MakeDrive, image: Path) -> None:
    drive = make_drive(24)
    with pytest.raises(InputError, match=f"more than the {24 << 20} bytes") as refusal:
        flash(Plan(image=look_at(image), drive=drive))
    assert "does not boot" in refusal.value.hint
    assert contents(drive, HEAD_BYTES) == bytes(HEAD_BYTES)


def test_a_card_with_its_lock_set_is_refused_by_the_rules_and_stays_as_it_was(make_drive: MakeDrive, image: Path) -> None:
    drive = make_drive(CARD_MIB, "--read-only")
    assert any("read-only" in reason for reason in refusals(drive, Wanted()))
    with pytest.raises(DeviceError, match=r"cannot be written|writing .* failed"):
        flash(Plan(image=look_at(image), drive=drive))
    assert contents(drive, HEAD_BYTES) == USED * (HEAD_BYTES // len(USED))


def test_a_drive_of_large_sectors_is_refused_as_the_system_describes_it(make_drive: MakeDrive) -> None:
    drive = make_drive(24, "--sector-size", "4096")
    assert any("its sectors have 4096 bytes" in reason for reason in refusals(drive, Wanted()))
