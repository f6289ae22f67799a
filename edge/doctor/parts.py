"""What is plugged in and built in: USB and PCI ids, what cools the processor, and what the system's disk is."""

from __future__ import annotations

import re
from pathlib import Path

from edgekit.core.schema import Value
from edgekit.doctor import tree

HAILO = "1e60:"
"""The PCI vendor Hailo (github.com/hailo-ai/hailort, pcie_driver_scan.cpp)."""


class Cooler(Value, frozen=True, kw_only=True):
    """A fan, as the kernel steers it: its step now, of how many."""

    name: str
    step: int
    steps: int


class Disk(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What holds the system: `kind` is SD card, eMMC, NVMe, USB or SATA disk, or empty where it cannot be told."""

    device: str = ""
    kind: str = ""
    read_only: bool = False


def read_usb(root: Path) -> tuple[str, ...]:
    """`vendor:product` of everything on USB."""
    return _ids(root, "sys/bus/usb/devices/*", "idVendor", "idProduct")


def read_pci(root: Path) -> tuple[str, ...]:
    """`vendor:device` of everything on PCI."""
    return _ids(root, "sys/bus/pci/devices/*", "vendor", "device")


def read_coolers(root: Path) -> tuple[Cooler, ...]:
    """The fans among the kernel's cooling devices; the others are clocks that it lowers."""
    found = []
    for folder in tree.found(root, "sys/class/thermal/cooling_device*"):
        name, step, steps = (
            tree.line(root, f"{folder}/type"),
            *(tree.integer(root, f"{folder}/{part}_state") for part in ("cur", "max")),
        )
        if "fan" in name.lower() and step is not None and steps is not None and steps > 0:
            found.append(Cooler(name=name, step=step, steps=steps))
    return tuple(found)


def read_disk(root: Path) -> Disk:
    """The disk under `/`."""
    for line in tree.text(root, "proc/mounts").splitlines():
        parts = line.split()
        if len(parts) >= 4 and parts[1] == "/" and parts[0].startswith("/dev/"):
            device = tree.printable(parts[0].removeprefix("/dev/"))
            return Disk(device=device, kind=_kind(root, device), read_only="ro" in parts[3].split(","))
    return Disk()


def _kind(root: Path, device: str) -> str:
    if device.startswith("nvme"):
        return "NVMe"
    if card := re.match(r"mmcblk\d+", device):
        return {"SD": "SD card", "MMC": "eMMC"}.get(tree.line(root, f"sys/block/{card[0]}/device/type"), "SD card or eMMC")
    return "USB or SATA disk" if re.match(r"sd[a-z]", device) else ""


def _ids(root: Path, pattern: str, vendor: str, product: str) -> tuple[str, ...]:
    found = []
    for folder in tree.found(root, pattern):
        parts = [tree.line(root, f"{folder}/{part}").removeprefix("0x") for part in (vendor, product)]
        if all(re.fullmatch(r"[0-9a-fA-F]{4}", part) for part in parts):
            found.append(":".join(parts).lower())
    return tuple(sorted(set(found)))
