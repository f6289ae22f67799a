"""Small disk images shaped like those of boards: a partition table, a FAT boot partition with a board's files, a second partition."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

SECTOR = 512
BOOT_START = 2048 * SECTOR
BOOT_FILES = {
    "cmdline.txt": b"console=serial0,115200 console=tty1 root=PARTUUID=1-02 rootfstype=ext4 rootwait\n",
    "config.txt": b"arm_64bit=1\n",
    "bcm2712-rpi-5-b.dtb": b"device tree of a Pi 5",
    "bcm2711-rpi-4-b.dtb": b"device tree of a Pi 4",
}


def mbr(*entries: tuple[int, int, int]) -> bytes:
    """A first sector with partitions (type, first sector, sectors)."""
    table = b"".join(struct.pack("<B3sB3sII", 0, b"", kind, b"", start, count) for kind, start, count in entries)
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"


def card_image(path: Path, *, boot_mib: int = 40, files: Mapping[str, bytes] = BOOT_FILES) -> Path:
    """A card of an MBR, a FAT partition with `files`, and 4 MiB that stand for the root file system."""
    boot_sectors = boot_mib << 11
    with path.open("wb") as file:
        file.write(mbr((0x0C, 2048, boot_sectors), (0x83, 2048 + boot_sectors, 8192)))
        file.truncate(BOOT_START + (boot_mib << 20))
        file.seek(0, 2)
        file.write(bytes(range(256)) * (4 << 12))
    fat = ["mkfs.vfat", "-n", "BOOTFS", "--offset", "2048", str(path), str(boot_mib << 10)]
    subprocess.run(fat, check=True, capture_output=True)
    folder = path.with_suffix(".files")
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    copy = ["mcopy", "-i", f"{path}@@{BOOT_START}", *map(str, sorted(folder.iterdir())), "::/"]
    subprocess.run(copy, check=True, capture_output=True)
    return path


def jetson_image(path: Path, *, release: str = "36", app_mib: int = 64) -> Path:
    """A Jetson's card: a GPT with the root file system first, in a partition called APP, and NVIDIA's wizard as what starts."""
    table = f"label: gpt\nstart=2048, size={app_mib << 11}, name=APP, type=linux\nsize=2048, name=A_kernel, type=linux\n"
    with path.open("wb") as file:
        file.truncate((app_mib + 8) << 20)
    subprocess.run(["sfdisk", "-q", str(path)], input=table, text=True, check=True, capture_output=True)
    tree = path.with_suffix(".tree")
    units = tree / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (units / "default.target").symlink_to("/lib/systemd/system/nv-oem-config.target")
    (tree / "etc/nv_tegra_release").write_text(
        f"# R{release} (release), REVISION: 4.3, GCID: 1, BOARD: generic, EABI: aarch64\n"
    )
    (tree / "etc/hostname").write_text("tegra-ubuntu\n")
    make = ["mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={2048 * SECTOR},root_owner=0:0", "-d", str(tree)]
    subprocess.run([*make, str(path), f"{app_mib << 10}k"], check=True, capture_output=True)
    return path
