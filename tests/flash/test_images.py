"""Images as they are published: every packing, every kind of damage, both hashes."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cards import mbr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.core.errors import InputError, NotFound
from edgekit.flash.image import look_at, opened
from edgekit.flash.partitions import boot_partition, named_partition, partitions

PLAIN = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000)) + bytes(1 << 20)
"""1.28 MB that do not compress, and a megabyte that does."""


def _zst(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard", reason="the extra [flash] is not installed")
    packed: bytes = zstandard.ZstdCompressor().compress(data)
    return packed


def _zip(data: bytes) -> bytes:
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("disk.img", data)
    return buffer.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "xz": lzma.compress,
    "gz": gzip.compress,
    "zst": _zst,
    "zip": _zip,
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_gives_the_same_disk_and_the_hash_of_the_published_file(packing: str, tmp_path: Path) -> None:
    file = tmp_path / "download"  # its name says nothing
    file.write_bytes(PACKINGS[packing](PLAIN))
    image = look_at(file)
    assert image.packing == packing
    with opened(image) as stream:
        assert b"".join(stream) == PLAIN
        assert stream.file_sha256() == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("packing", ["xz", "gz", "zst"])
@pytest.mark.parametrize("keep", [0.3, 0.999])
def test_a_download_that_broke_off_is_said_with_where(packing: str, keep: float, tmp_path: Path) -> None:
    whole = PACKINGS[packing](PLAIN)
    file = tmp_path / "download"
    file.write_bytes(whole[: int(len(whole) * keep)])
    with opened(look_at(file)) as stream, pytest.raises(InputError, match=r"damaged or cut off: .* bytes"):
        _ = b"".join(stream)


@pytest.mark.parametrize("packing", ["xz", "gz", "zip"])
def test_a_flipped_bit_is_noticed_by_the_packing_itself(packing: str, tmp_path: Path) -> None:
    whole = bytearray(PACKINGS[packing](PLAIN))
    whole[len(whole) // 2] ^= 4
    file = tmp_path / "download"
    file.write_bytes(whole)
    with opened(look_at(file)) as stream, pytest.raises(InputError, match="damaged"):
        _ = b"".join(stream)


def test_several_gzip_members_and_xz_streams_are_one_disk(tmp_path: Path) -> None:
    for pack in (gzip.compress, lzma.compress, _zst):
        (tmp_path / "download").write_bytes(pack(PLAIN[:1000]) + pack(PLAIN[1000:]))
        with opened(look_at(tmp_path / "download")) as stream:
            assert b"".join(stream) == PLAIN


def test_an_archive_without_exactly_one_image_names_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.img", "x")
        archive.writestr("b.img", "y")
    with pytest.raises(InputError, match=r"2 disk images, not one: a.img, b.img"), opened(look_at(tmp_path / "two.zip")):
        pass


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        look_at(tmp_path / "none.img")
    (tmp_path / "page.img").write_bytes(b"<!doctype html><title>404</title>")
    with pytest.raises(InputError, match="no disk image"):
        look_at(tmp_path / "page.img")


# Partition tables


def test_an_mbr_is_read(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(mbr((0x0C, 2048, 4096), (0x83, 6144, 2048)) + bytes(8192 * 512))
    found = partitions(disk)
    assert [(one.number, one.start, one.bytes, one.holds) for one in found] == [
        (1, 2048 * 512, 4096 * 512, "fat"),
        (2, 6144 * 512, 2048 * 512, "ext4"),
    ]
    assert boot_partition(disk) == found[0]


def partitioned(folder: Path, script: str) -> Path:
    """The image of an empty disk of 32 MiB with what sfdisk makes of a script."""
    if shutil.which("sfdisk") is None:
        pytest.skip("sfdisk is not on this machine")
    disk = folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["sfdisk", "-q", str(disk)], input=script, text=True, check=True)
    return disk


def test_a_gpt_is_read_as_sfdisk_wrote_it(tmp_path: Path) -> None:
    script = "label: gpt\nstart=2048,size=8192,type=linux,name=APP\nstart=10240,size=4096,type=uefi,name=esp\n"
    disk = partitioned(tmp_path, script)
    root, esp = partitions(disk)
    assert (root.name, root.start, root.bytes, root.holds) == ("APP", 2048 * 512, 8192 * 512, "ext4")
    assert (esp.name, esp.holds) == ("esp", "fat")
    assert named_partition(disk, "APP") == root
    with pytest.raises(InputError, match="no partition called 'DATA'"):
        named_partition(disk, "DATA")


def test_logical_partitions_are_read_as_sfdisk_wrote_them(tmp_path: Path) -> None:
    script = "label: dos\n2048,4096,83\n8192,,5\n10240,4096,c\n20480,4096,83\n"
    disk = partitioned(tmp_path, script)
    found = {one.number: one for one in partitions(disk)}
    assert list(found) == [1, 2, 5, 6]
    assert (found[5].start, found[5].bytes, found[5].holds) == (10240 * 512, 4096 * 512, "fat")
    assert (found[6].start, found[6].holds) == (20480 * 512, "ext4")
    assert boot_partition(disk) == found[5]


def test_a_ring_of_logical_partitions_ends(tmp_path: Path) -> None:
    ring = mbr((0x83, 1, 10), (0x05, 0, 10))
    disk = tmp_path / "disk.img"
    disk.write_bytes(mbr((0x05, 8, 100)) + bytes(7 * 512) + ring + bytes(200 * 512))
    assert [one.number for one in partitions(disk)] == [1, 5]


def test_an_image_for_sectors_of_4096_bytes_is_said_to_be_one(tmp_path: Path) -> None:
    disk = tmp_path / "ufs.img"
    disk.write_bytes((mbr((0xEE, 1, 100))).ljust(4096, b"\0") + b"EFI PART".ljust(4096, b"\0"))
    with pytest.raises(InputError, match="sectors of 4096 bytes, cards have 512"):
        partitions(disk)


def test_a_partition_beyond_the_end_says_the_image_is_cut_off(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(mbr((0x0C, 2048, 4096)) + bytes(512 * 100))
    with pytest.raises(InputError, match=r"ends at byte 3145728, the image at"):
        partitions(disk)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=0, max_size=2048), signed=st.booleans())
def test_no_bytes_are_read_as_a_table_that_points_outside(data: bytes, signed: bool, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    if signed and len(data) >= 512:
        data = data[:510] + b"\x55\xaa" + data[512:]
    disk.write_bytes(data)
    try:
        found = partitions(disk)
    except InputError:
        return
    assert all(one.start + one.bytes <= len(data) for one in found)
