"""What settings and an app cost a flash: an 8 GB image, xz, to a card file, everything read back.

    python benchmarks/flashing.py IMAGE.img.xz --wheelhouse DIR

The image is made where there is none: a partition table and a FAT partition as a Raspberry Pi's, and where the root file system
lies 1 GiB of random bytes and then zeros. Real images compress worse than zeros and better than noise.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from common import conditions, edgekit, write

from edgekit.models import digits

SECTOR, MIB = 512, 1 << 20
IMAGE_BYTES = 8_000_000_000 // (4 * MIB) * (4 * MIB)
BOOT_MIB, FIRST_SECTOR = 512, 8192
HEAD_MIB, NOISE_MIB, PIECE_MIB = 64, 1024, 32
"""What stands at the front, the table and the boot partition's files; then noise, from the end of the boot partition on; in such pieces."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--wheelhouse", type=Path, required=True)
    args = parser.parse_args()
    if not args.image.exists():
        partial = args.image.with_suffix(".partial")
        make_image(partial)
        partial.rename(args.image)
    write("flashing", {"conditions": conditions(), **measured(args.image, args.wheelhouse)})


def measured(image: Path, wheelhouse: Path) -> dict[str, object]:
    """One flash with settings and app: the time of each part, and the memory that it took at most."""
    artifact = next(path for path in digits.artifacts() if path.name.endswith("int8"))
    with tempfile.TemporaryDirectory(prefix="edgekit-flashing-", dir=image.parent) as folder:
        words = [
            "flash",
            "--image",
            str(image),
            "-o",
            f"{folder}/card.img",
            "--first-boot",
            "firstrun",
            "--hostname",
            "edge-01",
        ]
        words += ["--app", "digits", "--artifact", str(artifact), "--wheelhouse", str(wheelhouse), "--json"]
        done = edgekit(*words)
    if done.returncode:
        sys.exit(f"the flash failed: {done.stdout}")
    said = json.loads(done.stdout)
    written_s, settings_s = said["seconds"]["write"], said["seconds"]["settings"]
    return {
        "image_bytes": said["bytes"],
        "file_bytes": image.stat().st_size,
        "app_bytes": sum(path.stat().st_size for path in wheelhouse.glob("*.tar.gz")),
        "files_added": len(said["added"]),
        "write_and_read_back_s": round(written_s, 1),
        "settings_and_app_s": round(settings_s, 1),
        "extra_share": round(settings_s / written_s, 4),
        "peak_rss_bytes": done.peak_rss_bytes,
    }


def make_image(path: Path) -> None:
    """Streams of xz one after the other, which is one file of xz: noise and zeros are packed once and repeated."""
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        head = _head(Path(scratch) / "head.img")
    zeros, noise = _packed(bytes(PIECE_MIB * MIB)), _packed(random.Random(1).randbytes(PIECE_MIB * MIB))
    before = (BOOT_MIB + (FIRST_SECTOR >> 11) - HEAD_MIB) // PIECE_MIB + 1
    left = IMAGE_BYTES - (HEAD_MIB + before * PIECE_MIB + NOISE_MIB) * MIB
    with path.open("wb") as file:
        file.write(_packed(head))
        for piece in (*[zeros] * before, *[noise] * (NOISE_MIB // PIECE_MIB), *[zeros] * (left // (PIECE_MIB * MIB))):
            file.write(piece)
        if rest := left % (PIECE_MIB * MIB):
            file.write(_packed(bytes(rest)))


def _head(path: Path) -> bytes:
    """A partition table and the FAT partition with what a Pi's has; behind this there are zeros."""
    boot_sectors = BOOT_MIB << 11
    root_sector = FIRST_SECTOR + boot_sectors
    entries = ((0x0C, FIRST_SECTOR, boot_sectors), (0x83, root_sector, IMAGE_BYTES // SECTOR - root_sector))
    table = b"".join(struct.pack("<B3sB3sII", 0, b"", kind, b"", start, count) for kind, start, count in entries)
    with path.open("wb") as file:
        file.write(bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa")
        file.truncate(root_sector * SECTOR)
    subprocess.run(
        ["/sbin/mkfs.vfat", "-n", "BOOTFS", "--offset", str(FIRST_SECTOR), path, str(BOOT_MIB << 10)], check=True, stdout=2
    )
    for name, data in (
        ("cmdline.txt", b"root=PARTUUID=1-02 rootwait\n"),
        ("kernel8.img", random.Random(0).randbytes(30 * MIB)),
    ):
        made = path.with_name(name)
        made.write_bytes(data)
        subprocess.run(["mcopy", "-i", f"{path}@@{FIRST_SECTOR * SECTOR}", made, "::/"], check=True)
    with path.open("rb") as file:
        return file.read(HEAD_MIB * MIB)


def _packed(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


if __name__ == "__main__":
    main()
