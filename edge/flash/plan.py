"""What a flash will do, decided and checked before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgekit.core.errors import InputError
from edgekit.core.schema import Device
from edgekit.flash import ext4, fat, firstboot
from edgekit.flash.bmap import Bmap
from edgekit.flash.drives import Drive, Wanted, refusals
from edgekit.flash.firstboot import BootFiles
from edgekit.flash.image import Image
from edgekit.flash.install import SCRIPT, Install
from edgekit.flash.settings import Settings
from edgekit.flash.usb import ensure_installable
from edgekit.flash.write import Expected, ensure_hash

CMDLINE = "cmdline.txt"


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


def checked(plan: Plan) -> Plan:
    """The same plan. Raises `InputError` for one that must not or cannot be carried out, before anything is touched."""
    _ = plan.target
    ensure_hash(plan.expected.file_sha256)
    if plan.drive is not None and (reasons := refusals(plan.drive, plan.wanted)):
        raise InputError(f"nothing is written to {plan.drive.described}: {'; '.join(reasons)}", "edgekit flash --drives")
    if plan.customises and not plan.first_boot:
        raise InputError(
            "how this image takes first-boot settings is not known: it is not written in the image",
            f"--catalogue FILE, or --first-boot {'|'.join(firstboot.formats())}",
        )
    if plan.customises:
        (ext4 if boot_files(plan, "check").partition else fat).ensure_tools()
    if plan.install is not None and plan.device is not None and plan.device.family == "jetson":
        ensure_installable(plan.device, plan.install)
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
        made = boot_files(plan, "STAMP")
        lines.append(f"first-boot settings as {plan.first_boot}: {', '.join([*made.files, *made.links]) or 'none'}")
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


def boot_files(plan: Plan, stamp: str) -> BootFiles:
    """What the plan's first-boot format writes."""
    script = SCRIPT if plan.install else ""
    return firstboot.boot_files(plan.first_boot, plan.settings, install_script=script, stamp=stamp)
