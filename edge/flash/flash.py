"""The whole of `edgekit flash`: look, plan, write, read back, give the board its settings and its app, read those back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from edgekit.core.errors import DeviceError, InputError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Device
from edgekit.flash import fat, firstboot
from edgekit.flash.bmap import Bmap
from edgekit.flash.drives import Drive, Wanted, refusals
from edgekit.flash.firstboot import BootFiles
from edgekit.flash.image import Image, opened
from edgekit.flash.install import SCRIPT, Install, files
from edgekit.flash.partitions import Partition, boot_partition
from edgekit.flash.settings import Settings
from edgekit.flash.target import Medium, new_file, open_drive
from edgekit.flash.write import Expected, Written, write

CMDLINE = "cmdline.txt"
_RESERVE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that will happen, decided before anything does."""

    image: Image
    output: Path | None = None
    drive: Drive | None = None
    replace: bool = False
    wanted: Wanted = field(default_factory=Wanted)
    expected: Expected = field(default_factory=Expected)
    bmap: Bmap | None = None
    first_boot: str = ""
    settings: Settings = field(default_factory=Settings)
    install: Install | None = None
    device: Device | None = None

    @property
    def target(self) -> Path:
        """The file or drive that is written."""
        path = self.output or (self.drive.path if self.drive else None)
        if path is None:
            raise InputError("an image must go somewhere", "--output card.img, or --device /dev/sdX")
        return path

    @property
    def customises(self) -> bool:
        """Whether the card is changed after the image was written."""
        return self.settings != Settings() or self.install is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flashed:
    """What was done: bytes and hashes of the image, the files that were added, and the time each stage took."""

    target: Path
    written: Written
    added: tuple[str, ...]
    first_boot: str
    seconds: Mapping[str, float]


def checked(plan: Plan) -> Plan:
    """The same plan. Raises `InputError` for one that must not or cannot be carried out, before anything is touched."""
    _ = plan.target
    if plan.drive is not None and (reasons := refusals(plan.drive, plan.wanted)):
        raise InputError(f"nothing is written to {plan.drive.described}: {'; '.join(reasons)}", "edgekit flash --drives")
    if plan.customises and not plan.first_boot:
        raise InputError(
            "how this image takes first-boot settings is not known: it is not written in the image",
            f"--catalogue FILE, or --first-boot {'|'.join(firstboot.formats())}",
        )
    if plan.customises:
        fat.ensure_tools()
        _boot_files(plan, "check")
    return plan


def steps(plan: Plan) -> tuple[str, ...]:
    """What will be done, a line each: for `--dry-run`, and to show before asking."""
    where = plan.drive.described if plan.drive else str(plan.target)
    lines = [f"write {plan.image.path} ({plan.image.packing}, {plan.image.bytes} bytes) to {where}"]
    known = [name for name, value in (("file", plan.expected.file_sha256), ("image", plan.expected.sha256)) if value]
    lines.append(f"compare the sha256 of {' and '.join(known)}" if known else "compare no hash: none was given")
    if plan.bmap is not None:
        lines.append(
            f"write only the {plan.bmap.mapped_bytes} bytes that the block map lists, each range compared with its hash"
        )
    lines.append("read everything back, then write the first megabyte with the partition table")
    if plan.customises:
        made = _boot_files(plan, "STAMP")
        lines.append(f"first-boot settings as {plan.first_boot}: {', '.join(made.files) or 'none'}")
        if made.cmdline:
            lines.append(f"append to {CMDLINE}: {made.cmdline}")
    if plan.install is not None:
        count, size = plan.install.packages, plan.install.bytes
        lines.append(
            f"app {plan.install.app}: {count} packages and the artifact {plan.install.artifact.manifest.name} ({size >> 20} MiB)"
        )
    if plan.customises:
        lines.append("read the added files back and compare them")
    return tuple(lines)


def flash(plan: Plan, *, progress: Progress = silent) -> Flashed:
    """Carry out a plan that was `checked`. Raises `EdgekitError`s that say what state the card is in."""
    clock = _Clock()
    with _medium(plan) as medium:
        with opened(plan.image) as stream:
            limit = plan.drive.bytes if plan.drive else 1 << 40
            written = write(stream, medium, limit_bytes=limit, expected=plan.expected, bmap=plan.bmap, progress=progress)
        clock.lap("write")
        added = customise(plan, medium.path, settle=medium.flush, progress=progress) if plan.customises else ()
        clock.lap("settings")
        medium.flush()
    return Flashed(target=plan.target, written=written, added=added, first_boot=plan.first_boot, seconds=dict(clock.laps))


def customise(plan: Plan, card: Path, *, settle: Callable[[], None], progress: Progress = silent) -> tuple[str, ...]:
    """Add settings and app to the boot partition of `card`, and read them back; the names of the files added.

    `settle` brings what was written to the medium, so that it is read from there. Raises `InputError` for an image of another board or without room, `DeviceError` when the card gives back other bytes.
    """
    progress(Event(stage="settings"))
    boot = boot_partition(card)
    _ensure_for(plan.device, card, boot)
    made = _boot_files(plan, f"{int(time.time()):x}-{token_hex(4)}")
    small: dict[str, bytes] = dict(made.files)
    large: dict[str, Path] = {}
    for name, content in (files(plan.install) if plan.install else {}).items():
        if isinstance(content, bytes):
            small[name] = content
        else:
            large[name] = content
    if made.cmdline:
        small[CMDLINE] = appended(fat.read_file(card, boot, CMDLINE), made.cmdline)
    _ensure_room(card, boot, small, large)
    _copy(card, boot, small, large)
    settle()
    progress(Event(stage="read the settings back"))
    wanted = {name: sha256_bytes(data) for name, data in small.items()} | {
        name: sha256_file(path) for name, path in large.items()
    }
    for name, sha256 in wanted.items():
        if fat.sha256_of(card, boot, name) != sha256:
            raise DeviceError(f"{name!r} reads back differently from {str(card)!r}", "try another card")
    return tuple(sorted({*small, *large}))


def appended(cmdline: bytes, words: str) -> bytes:
    """The kernel's command line with `words` at its end: one line, whatever its file had; what an earlier flash added is replaced."""
    line = " ".join(cmdline.decode("utf-8", errors="surrogateescape").split())
    names = {word.partition("=")[0] for word in words.split()}
    kept = [word for word in line.split(" ") if word.partition("=")[0] not in names]
    return (" ".join([*kept, words]) + "\n").encode("utf-8", errors="surrogateescape")


@contextmanager
def _medium(plan: Plan) -> Iterator[Medium]:
    if plan.drive is not None:
        with open_drive(plan.drive) as medium:
            yield medium
    else:
        with new_file(plan.target, replace=plan.replace) as medium:
            yield medium


def _boot_files(plan: Plan, stamp: str) -> BootFiles:
    script = SCRIPT if plan.install else ""
    return firstboot.boot_files(plan.first_boot, plan.settings, install_script=script, stamp=stamp)


def _ensure_for(device: Device | None, card: Path, boot: Partition) -> None:
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


def _ensure_room(card: Path, boot: Partition, small: Mapping[str, bytes], large: Mapping[str, Path]) -> None:
    needed = sum(map(len, small.values())) + sum(path.stat().st_size for path in large.values()) + _RESERVE_BYTES
    free = fat.free_bytes(card, boot)
    if needed > free:
        raise InputError(
            f"the boot partition has {free >> 20} MiB free, app and packages need {needed >> 20}",
            "an image with a larger boot partition, or fewer extras in the wheelhouse",
        )


def _copy(card: Path, boot: Partition, small: Mapping[str, bytes], large: Mapping[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, path in large.items():
            link = Path(folder) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        for name, data in small.items():
            made = Path(folder) / name
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes(data)
        fat.copy_tree(card, boot, Path(folder))


class _Clock:
    """Seconds since the last lap, by name."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now
