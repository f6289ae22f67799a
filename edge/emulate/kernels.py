"""What a machine starts from: a kernel that knows it, the first file system with that kernel's modules, and its device tree."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from edgekit.core import process
from edgekit.core.errors import EdgekitError
from edgekit.core.files import sha256_bytes
from edgekit.core.progress import Event, Progress, silent
from edgekit.emulate import cache, rootfs
from edgekit.emulate.initrd import INIT, initrd
from edgekit.emulate.machines import MachineType
from edgekit.emulate.rootfs import Recipe

KERNEL, INITRD = "kernel8.img", "initramfs8"
SHELL = "busybox-static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The files that QEMU is given; no `device_tree` where the machine describes itself."""

    image: Path
    initrd: Path
    device_tree: Path | None = None


def kernel_in(folder: Path, machine: MachineType) -> Kernel:
    """The kernel of a folder that has one."""
    tree = folder / machine.device_tree if machine.device_tree else None
    return Kernel(image=folder / KERNEL, initrd=folder / INITRD, device_tree=tree)


def kernel_of(machine: MachineType, suite: str, mirror: str, *, progress: Progress = silent) -> Kernel:
    """Out of the suite's package of the machine's kernel, of which nothing is run; made once. Raises `EdgekitError` when something is not in it."""
    recipe = Recipe(suite=suite, packages=(machine.kernel, SHELL), mirror=mirror)

    def make(folder: Path) -> None:
        rootfs.ensure_tools()
        progress(Event(stage=f"kernel for {machine.name}"))
        process.run(rootfs.build_command(recipe, folder / rootfs.TAR), timeout_s=rootfs.TIMEOUT_S)
        _assemble(folder / rootfs.TAR, folder, machine)
        (folder / rootfs.TAR).unlink()  # ten times as large as what is taken out of it

    return kernel_in(cache.made("kernel", {**asdict(recipe), "how": how(machine)}, make), machine)


def how(machine: MachineType) -> str:
    """The hash of what else a first file system is made from."""
    return sha256_bytes(INIT.encode() + msgspec.json.encode(machine))


def unpack_command(archive: Path, folder: Path, machine: MachineType) -> list[str]:
    """The tar that takes the kernel, its modules, its device tree and a shell, wherever the suite has them."""
    wanted = [
        "*/boot/vmlinuz-*",
        "*/lib/modules/*",
        "*/bin/busybox",
        *([f"*/{machine.device_tree}"] if machine.device_tree else []),
    ]
    return ["tar", "-C", str(folder), "-xf", str(archive), "--no-same-owner", "--wildcards", *wanted]


def _assemble(archive: Path, folder: Path, machine: MachineType) -> None:
    tree = folder / "tree"
    tree.mkdir()
    process.run(unpack_command(archive, tree, machine), timeout_s=rootfs.TIMEOUT_S)
    modules = _only(tree, "lib/modules/*")
    process.run(
        ["env", "PATH=/usr/sbin:/sbin:/usr/bin:/bin", "depmod", "-b", str(modules.parents[2]), modules.name], timeout_s=60.0
    )
    shutil.copy(_only(tree, "boot/vmlinuz-*"), folder / KERNEL)
    (folder / INITRD).write_bytes(initrd(_only(tree, "bin/busybox").read_bytes(), modules, machine))
    if machine.device_tree:
        shutil.copy(_only(tree, machine.device_tree), folder / machine.device_tree)
    shutil.rmtree(tree)


def _only(tree: Path, pattern: str) -> Path:
    """The one file that is called so, below any folder."""
    found = sorted(tree.rglob(pattern))
    if len(found) != 1:
        raise EdgekitError(
            f"the kernel's package has {len(found)} files like {pattern}, and one was expected",
            "is the mirror a Debian mirror with arm64?",
        )
    return found[0]
