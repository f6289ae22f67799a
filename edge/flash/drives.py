"""The drives of this machine, and why an image must not be written to most of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgekit.core import process
from edgekit.core.errors import EdgekitError, NotFound
from edgekit.flash.partitions import SECTOR

LARGEST_BYTES = 512 * 10**9
"""Cards and sticks for boards are smaller; what is larger is likely somebody's backup disk."""
_COLUMNS = "path,type,maj:min,ro,rm,hotplug,size,log-sec,tran,vendor,model,serial,mountpoints,fstype"
_SYSTEM = ("/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home", "[SWAP]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A block device, with everything mounted from it or from anything built on it."""

    path: Path
    type: str
    number: str
    bytes: int
    read_only: bool
    removable: bool
    transport: str
    title: str
    serial: str
    mounted: tuple[str, ...]
    sector_bytes: int = SECTOR

    @property
    def described(self) -> str:
        """One line a person can recognise it by."""
        serial = f", serial {self.serial}" if self.serial else ""
        where = f", mounted at {', '.join(self.mounted)}" if self.mounted else ""
        return f"{self.path}  {self.bytes / 1e9:.1f} GB  {self.title or 'no name'}{serial}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be written, and which rules a person has lifted."""

    bytes: int = 0
    allow_fixed: bool = False
    allow_large: bool = False


def list_drives() -> tuple[Drive, ...]:
    """Every drive lsblk knows. Raises `MissingDependency` where there is no lsblk."""
    said = process.run(["lsblk", "--bytes", "--json", "--tree", "-o", _COLUMNS], timeout_s=30.0).stdout
    return parse(said)


def parse(text: str) -> tuple[Drive, ...]:
    """Drives from what lsblk printed. Raises `EdgekitError` when it printed something else."""
    try:
        listed = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])["blockdevices"]
        return tuple(_drive(entry) for entry in listed)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as exc:
        raise EdgekitError(
            f"lsblk answered with something unknown: {exc}", f"run it by hand: lsblk --json -o {_COLUMNS}"
        ) from exc


def find(path: Path, drives: Sequence[Drive]) -> Drive:
    """The drive at `path`, also by its name under /dev/disk/by-id. Raises `NotFound` with those there are."""
    real = path.resolve()
    found = next((drive for drive in drives if drive.path == real), None)
    if found is None:
        usable = ", ".join(str(drive.path) for drive in drives if not refusals(drive, Wanted()))
        raise NotFound(f"no drive at {str(path)!r}", f"cards and sticks that are here: {usable or 'none'}")
    return found


def refusals(drive: Drive, wanted: Wanted) -> tuple[str, ...]:
    """Every reason not to write to this drive; none: it may be offered."""
    return tuple(reason for rule in RULES if (reason := rule(drive, wanted)))


def is_whole(drive: Drive, wanted: Wanted) -> str:
    """Partitions, loops and optical drives are no cards."""
    return "" if drive.type == "disk" else f"it is a {drive.type}, not a whole disk"


def is_writable(drive: Drive, wanted: Wanted) -> str:
    """A card's lock, or a reader's."""
    return "it is read-only: a card has a small switch" if drive.read_only else ""


def has_medium(drive: Drive, wanted: Wanted) -> str:
    """Card readers without a card have no bytes."""
    return "" if drive.bytes > 0 else "there is no medium in it"


def is_large_enough(drive: Drive, wanted: Wanted) -> str:
    """The image must fit."""
    fits = not drive.bytes or wanted.bytes <= drive.bytes
    return "" if fits else f"the image has {wanted.bytes} bytes, the drive {drive.bytes}"


def has_usual_sectors(drive: Drive, wanted: Wanted) -> str:
    """An image's partition table counts sectors of 512 bytes: on a drive of others, no partition lies where it says."""
    fine = drive.sector_bytes == SECTOR or not drive.bytes
    return (
        "" if fine else f"its sectors have {drive.sector_bytes} bytes, those of an image {SECTOR}: no board would boot from it"
    )


def is_no_system_drive(drive: Drive, wanted: Wanted) -> str:
    """Nothing lifts this rule."""
    used = [place for place in drive.mounted if place in _SYSTEM]
    return f"this system runs from it: {', '.join(used)}" if used else ""


def is_unmounted(drive: Drive, wanted: Wanted) -> str:
    """Somebody is using it."""
    used = [place for place in drive.mounted if place not in _SYSTEM]
    return f"it is mounted at {', '.join(used)}: unmount it first" if used else ""


def is_removable(drive: Drive, wanted: Wanted) -> str:
    """Built-in disks need `--allow-fixed`."""
    movable = drive.removable or drive.transport in ("usb", "mmc") or drive.path.name.startswith("mmcblk")
    return "" if movable or wanted.allow_fixed else "it is built in, not a card or stick (--allow-fixed if you mean it)"


def is_not_too_large(drive: Drive, wanted: Wanted) -> str:
    """Disks larger than any card need `--allow-large`."""
    fine = drive.bytes <= LARGEST_BYTES or wanted.allow_large
    return "" if fine else f"it has {drive.bytes / 1e9:.0f} GB, more than a card (--allow-large if you mean it)"


Rule = Callable[[Drive, Wanted], str]
RULES: tuple[Rule, ...] = (
    is_whole,
    is_writable,
    has_medium,
    is_large_enough,
    has_usual_sectors,
    is_no_system_drive,
    is_unmounted,
    is_removable,
    is_not_too_large,
)


def _drive(entry: dict[str, Any]) -> Drive:
    title = " ".join(str(entry.get(key) or "").strip() for key in ("vendor", "model")).strip()
    return Drive(
        path=Path(entry["path"]),
        type=str(entry["type"]),
        number=str(entry["maj:min"]).strip(),
        bytes=int(entry["size"] or 0),
        read_only=bool(entry["ro"]),
        removable=bool(entry["rm"] or entry["hotplug"]),
        transport=str(entry.get("tran") or ""),
        title=title,
        serial=str(entry.get("serial") or "").strip(),
        mounted=tuple(sorted(set(_mounted(entry)))),
        sector_bytes=int(entry.get("log-sec") or SECTOR),
    )


def _mounted(entry: dict[str, Any]) -> list[str]:
    """Where the device is mounted, and everything on top of it: partitions, encryption, volumes."""
    own = [place for place in entry.get("mountpoints") or [] if place]
    return own + [place for child in entry.get("children") or [] for place in _mounted(child)]
