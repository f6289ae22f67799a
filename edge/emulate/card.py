"""A card for an emulated board: Debian's arm64 kernel and systemd on it, then flashed as any card is, with settings and app."""

from __future__ import annotations

import os
import shutil
import struct
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import GateFailed, MissingDependency
from edgekit.core.files import sha256_bytes
from edgekit.core.progress import Event, Progress, silent
from edgekit.emulate import cache, rootfs
from edgekit.emulate.initrd import initrd
from edgekit.emulate.kernels import INITRD, KERNEL, SHELL, how
from edgekit.emulate.limits import Limits
from edgekit.emulate.machines import VIRT
from edgekit.emulate.rootfs import Recipe
from edgekit.flash import fat
from edgekit.flash.environment import native_python
from edgekit.flash.flash import flash
from edgekit.flash.image import look_at
from edgekit.flash.install import Install
from edgekit.flash.partitions import SECTOR, boot_partition
from edgekit.flash.plan import Plan, checked
from edgekit.flash.settings import Settings
from edgekit.flash.systems import systems

PACKAGES = (
    *rootfs.SMALL, "systemd-sysv", "udev", "dbus", "openssh-server", VIRT.kernel, SHELL, "kmod", "iproute2",
    "bash", "dash", "coreutils", "util-linux", "mount", "login", "passwd", "sed", "grep", "findutils", "mawk", "tar", "gzip", "procps",
    "base-files", "base-passwd", "libc-bin", "hostname", "debianutils", "init-system-helpers", "ca-certificates", "e2fsprogs",
)  # fmt: skip
"""A small Debian that boots, and lets one in over ssh."""
FIRST_BOOT = "firstrun"
"""Debian's systemd runs it as Raspberry Pi OS's does."""
CMDLINE = "console=ttyAMA0 root=LABEL=rootfs rw rootwait net.ifnames=0 mitigations=off quiet systemd.show_status=0\n"
FOLDER = "emulated"
"""Of the boot partition: the keys of the emulated board's ssh."""
_BOOT_MIB, _FIRST_SECTOR = 320, 2048
_TOOLS = {"mke2fs": "e2fsprogs", "mkfs.vfat": "dosfstools", "depmod": "kmod", "mcopy": "mtools", "ssh-keygen": "openssh-client"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The private key that opens the emulated board, and what ssh shall know of the board's own."""

    private: Path
    known_as: str


def ensure_tools() -> None:
    """Raise `MissingDependency` naming everything that is not here."""
    needed = _TOOLS | ({} if os.getuid() == 0 else {"fakeroot": "fakeroot"})
    missing = [program for program in needed if _which(program) is None]
    if missing:
        packages = " ".join(dict.fromkeys(needed[program] for program in missing))
        raise MissingDependency(f"{', '.join(missing)} not on this machine", f"sudo apt install {packages}")
    rootfs.ensure_tools()


def base_image(suite: str, mirror: str, size_mib: int, *, progress: Progress = silent) -> Path:
    """The image of a card without an app, as its maker would publish it; made once."""
    ensure_tools()
    recipe = Recipe(suite=suite, packages=PACKAGES, mirror=mirror)

    def make(folder: Path) -> None:
        archive = rootfs.archive(recipe, progress=progress)
        progress(Event(stage="image of a card"))
        assemble(archive, folder, size_mib, suite)

    script = sha256_bytes((files("edgekit.emulate") / "image.sh").read_bytes() + CMDLINE.encode())
    return cache.made("card", {**asdict(recipe), "size_mib": size_mib, "how": script + how(VIRT)}, make) / "card.img"


def new_card(
    base: Path, out: Path, install: Install, limits: Limits, *, hostname: str = "emulated", progress: Progress = silent
) -> Keys:
    """`base` flashed to the file `out` by `edgekit flash`'s own code. Raises `GateFailed` for a card larger than the board's storage."""
    size = base.stat().st_size
    if size > limits.storage_bytes:
        raise GateFailed(f"the card has {size} bytes, the board's storage {limits.storage_bytes}", "--storage SIZE")
    plan = Plan(
        image=look_at(base),
        output=out,
        replace=True,
        first_boot=FIRST_BOOT,
        settings=Settings(hostname=hostname),
        install=install,
    )
    flash(checked(plan), progress=progress)
    return _with_keys(out)


def boot_words(card: Path) -> str:
    """The kernel's command line, as a board's firmware reads it from the card at every start."""
    return fat.read_file(card, boot_partition(card), "cmdline.txt").decode().strip()


def assemble(archive: Path, folder: Path, size_mib: int, suite: str) -> None:
    """Fill the folder with an image: a partition table, a FAT partition to boot from, and the suite's root file system."""
    image, work = folder / "card.img", folder / "work"
    work.mkdir()
    root_sector = _FIRST_SECTOR + (_BOOT_MIB << 11)
    sectors = (size_mib << 11) - root_sector
    image.write_bytes(_mbr((0x0C, _FIRST_SECTOR, _BOOT_MIB << 11), (0x83, root_sector, sectors)))
    os.truncate(image, size_mib << 20)
    _fill_root(archive, image, root_sector * SECTOR, sectors // 2, work, _compiler(suite))
    boot = work / "boot"
    (boot / INITRD).write_bytes(initrd((work / "busybox").read_bytes(), work / "modules", VIRT))
    (boot / "cmdline.txt").write_text(CMDLINE)
    (boot / "config.txt").write_text(f"arm_64bit=1\nkernel={KERNEL}\ninitramfs {INITRD} followkernel\n")
    process.run(
        _found(["mkfs.vfat", "-n", "BOOTFS", "--offset", str(_FIRST_SECTOR), str(image), str(_BOOT_MIB << 10)]), timeout_s=60.0
    )
    fat.copy_tree(image, boot_partition(image), boot)
    for name in (KERNEL, INITRD):
        shutil.copy(boot / name, folder / name)
    shutil.rmtree(work)


def _compiler(suite: str) -> str:
    """This machine's Python of the version that the suite has; empty where there is none."""
    system = next((system for system in systems() if system.name == suite), None)
    return native_python(".".join(map(str, system.python))) if system else ""


def _fill_root(tar: Path, image: Path, offset: int, kib: int, work: Path, python: str) -> None:
    with as_file(files("edgekit.emulate") / "image.sh") as script:
        command = ["sh", str(script), str(tar), str(image), str(offset), str(kib), str(work), python]
        path = f"PATH={os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        process.run(["env", path, *([] if os.getuid() == 0 else ["fakeroot"]), *command], timeout_s=rootfs.TIMEOUT_S)


def _with_keys(card: Path) -> Keys:
    """A key that opens the board and one of the board's own, made for this card."""
    place = card.with_suffix(".keys")
    shutil.rmtree(place, ignore_errors=True)
    folder = place / "boot" / FOLDER
    folder.mkdir(parents=True)
    for key in (place / "operator", folder / "host_key"):
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "emulated", "-f", str(key)], timeout_s=60.0)
    public = folder / "host_key.pub"
    shutil.copy(place / "operator.pub", folder / "authorized_keys")
    fat.copy_tree(card, boot_partition(card), place / "boot")
    return Keys(private=place / "operator", known_as=public.read_text().strip())


def _mbr(*entries: tuple[int, int, int]) -> bytes:
    """A first sector with partitions: type, first sector, sectors."""
    table = b"".join(struct.pack("<B3sB3sII", 0, b"", kind, b"", start, count) for kind, start, count in entries)
    return bytes(440) + b"edge\0\0" + table.ljust(64, b"\0") + b"\x55\xaa"


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _found(command: list[str]) -> list[str]:
    return [_which(command[0]) or command[0], *command[1:]]
