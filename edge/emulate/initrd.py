"""The first file system of the emulated kernel: a shell, the modules for the card, and the way to the real root.

It mounts the boot partition, too: where systemd does, everything waits until udev has found the card a second time.
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.emulate.machines import MachineType

INIT = """#!/bin/busybox sh
export PATH=/bin
busybox mkdir -p /dev /proc /sys /root
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
for module in $(busybox cat /modules/order); do busybox insmod "/modules/$module" || echo "no module $module"; done
partition=$(busybox cat /partition)
until [ -b "${partition}2" ]; do busybox sleep 0.05; done
busybox mount -t ext4 -o noatime "${partition}2" /root || { echo "edgekit: the root file system does not mount"; busybox poweroff -f; }
busybox mount -t vfat -o noatime,umask=0022 "${partition}1" /root/boot || echo "edgekit: the boot partition does not mount"
until [ -e /sys/class/net/eth0 ]; do busybox sleep 0.05; done
busybox mount --move /dev /root/dev
busybox umount /proc /sys
exec busybox switch_root /root /sbin/init
"""
_HEADER = "070701" + "{:08x}" * 13
_FOLDER, _PROGRAM, _FILE = 0o040755, 0o100755, 0o100644


def initrd(busybox: bytes, modules: Path, machine: MachineType) -> bytes:
    """The compressed archive; `modules` is the kernel's folder with its `modules.dep`. What is built into the kernel is in no list of modules."""
    order = load_order((modules / "modules.dep").read_text(), machine.modules)
    files: dict[str, tuple[int, bytes]] = dict.fromkeys(("bin", "modules"), (_FOLDER, b""))
    files["bin/busybox"] = (_PROGRAM, busybox)
    files["partition"] = (_FILE, machine.partition.encode() + b"\n")
    files["init"] = (_PROGRAM, INIT.encode())
    files |= {f"modules/{_plain(path)}": (_FILE, _unpacked(modules / path)) for path in order}
    files["modules/order"] = (_FILE, "\n".join(map(_plain, order)).encode() + b"\n")
    return gzip.compress(archive(files), compresslevel=1, mtime=0)


def load_order(dependencies: str, wanted: Sequence[str]) -> list[str]:
    """The paths of the wanted modules, those they need before them; modules that the kernel has built in are not listed."""
    needs: dict[str, list[str]] = {}
    for line in dependencies.splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    by_name = {_name(path): path for path in needs}
    found: list[str] = []
    for name in wanted:
        if name in by_name:
            path = by_name[name]
            found += [one for one in (*reversed(needs[path]), path) if one not in found]
    return found


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A cpio archive in the `newc` format that Linux unpacks (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    parts = [_entry(number, name, mode, data) for number, (name, (mode, data)) in enumerate(files.items(), 1)]
    return b"".join([*parts, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 2 if mode == _FOLDER else 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    return _padded(_HEADER.format(*fields).encode() + encoded) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition(".ko")[0]


def _plain(path: str) -> str:
    return f"{_name(path)}.ko"


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
