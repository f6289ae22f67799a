"""Settings and app onto a card that was written: into its boot partition or its root file system, and read back from there."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from edgekit.core.errors import DeviceError, InputError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Device
from edgekit.flash import ext4, fat
from edgekit.flash.firstboot import APP_FOLDER, BootFiles
from edgekit.flash.install import Install, files
from edgekit.flash.partitions import Partition, boot_partition, named_partition
from edgekit.flash.plan import CMDLINE, Plan, boot_files

TEGRA_RELEASE = "etc/nv_tegra_release"
"""In the root file system of every Jetson: the release of Jetson Linux."""
_RESERVE_BYTES = 8 << 20
_RELEASE = re.compile(r"# R(\d+) ")


class FileSystem(Protocol):
    """What is needed of a partition's files: `fat` and `ext4` are it."""

    def read_file(self, image: Path, partition: Partition, name: str) -> bytes: ...
    def sha256_of(self, image: Path, partition: Partition, name: str) -> str: ...
    def free_bytes(self, image: Path, partition: Partition) -> int: ...
    def copy_tree(self, image: Path, partition: Partition, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What is added to a card: small files by their text, large ones by their path here, and links."""

    small: Mapping[str, bytes]
    large: Mapping[str, Path]
    links: Mapping[str, str]

    @property
    def bytes(self) -> int:
        return sum(map(len, self.small.values())) + sum(path.stat().st_size for path in self.large.values())

    @property
    def hashes(self) -> dict[str, str]:
        """By the files' names."""
        small = {name: sha256_bytes(data) for name, data in self.small.items()}
        return small | {name: sha256_file(path) for name, path in self.large.items()}


def customise(plan: Plan, card: Path, *, settle: Callable[[], None], progress: Progress = silent) -> tuple[str, ...]:
    """Add settings and app to `card`, and read them back; the names of what was added.

    `settle` brings what was written to the medium, so that it is read from there. Raises `InputError` for an image of another board or without room, `DeviceError` when the card gives back other bytes.
    """
    progress(Event(stage="settings"))
    made = boot_files(plan, f"{int(time.time()):x}-{token_hex(4)}")
    store: FileSystem = ext4 if made.partition else fat
    partition = named_partition(card, made.partition) if made.partition else boot_partition(card)
    (_ensure_jetson if made.partition else _ensure_bootable)(plan.device, card, partition)
    added = _addition(made, plan.install)
    if made.cmdline:
        line = appended(store.read_file(card, partition, CMDLINE), made.cmdline)
        added = Addition(small={**added.small, CMDLINE: line}, large=added.large, links=added.links)
    _ensure_room(added.bytes, store.free_bytes(card, partition))
    _copy(store, card, partition, added)
    settle()
    progress(Event(stage="read the settings back"))
    for name, sha256 in added.hashes.items():
        if store.sha256_of(card, partition, name) != sha256:
            raise DeviceError(f"{name!r} reads back differently from {str(card)!r}", "try another card")
    return tuple(sorted({*added.small, *added.large, *added.links}))


def appended(cmdline: bytes, words: str) -> bytes:
    """The kernel's command line with `words` at its end: one line, whatever its file had; what an earlier flash added is replaced."""
    line = " ".join(cmdline.decode("utf-8", errors="surrogateescape").split())
    names = {word.partition("=")[0] for word in words.split()}
    kept = [word for word in line.split(" ") if word.partition("=")[0] not in names]
    return (" ".join([*kept, words]) + "\n").encode("utf-8", errors="surrogateescape")


def _addition(made: BootFiles, install: Install | None) -> Addition:
    """The format's files, and the app's in the folder where the format looks for them."""
    small, large = dict(made.files), {}
    for name, content in (files(install) if install else {}).items():
        place = name.replace(APP_FOLDER, made.app_folder, 1)
        if isinstance(content, bytes):
            small[place] = content
        else:
            large[place] = content
    return Addition(small=small, large=large, links=made.links)


def _ensure_bootable(device: Device | None, card: Path, boot: Partition) -> None:
    """An image for a board holds the device tree that the board's firmware loads."""
    fact = device.facts.get("device_tree") if device else None
    if device is None or fact is None:
        return
    names = fat.names(card, boot)
    if not any(name.rpartition("/")[2] == fact.value for name in names):
        raise InputError(
            f"this image does not boot a {device.title}: its boot partition lacks {fact.value}",
            "is it the image of another board?",
        )


def _ensure_jetson(device: Device | None, card: Path, root: Partition) -> None:
    """An image for a Jetson says its release of Jetson Linux, which must be the one of the board's profile."""
    found = _RELEASE.match(ext4.read_file(card, root, TEGRA_RELEASE).decode(errors="replace"))
    fact = device.facts.get("l4t") if device else None
    if device is not None and fact is not None and (found is None or found[1] != str(fact.value).partition(".")[0]):
        raise InputError(
            f"this image has Jetson Linux {found[1] if found else 'of an unknown release'}, a {device.title} takes {fact.value}",
            "is it the image of another board?",
        )


def _ensure_room(size: int, free: int) -> None:
    needed = size + _RESERVE_BYTES
    if needed > free:
        raise InputError(
            f"the partition has {free >> 20} MiB free, app and packages need {needed >> 20}",
            "an image with a larger partition, or fewer extras in the wheelhouse",
        )


def _copy(store: FileSystem, card: Path, partition: Partition, added: Addition) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, path in added.large.items():
            link = Path(folder) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        for name, data in added.small.items():
            made = Path(folder) / name
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes(data)
        store.copy_tree(card, partition, Path(folder))
    if added.links:
        ext4.make_links(card, partition, added.links)
