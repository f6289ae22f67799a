"""What a machine is: the nouns of the doctor, and how they are read from a tree of files."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.core.errors import EdgekitError
from edgekit.core.process import run
from edgekit.core.schema import Value
from edgekit.doctor import tree
from edgekit.doctor.board import Board, read_board
from edgekit.doctor.coral import Coral, read_corals
from edgekit.doctor.cpu import Cpu, read_cpu
from edgekit.doctor.parts import Cooler, Disk, read_coolers, read_disk, read_pci, read_usb
from edgekit.doctor.sensors import Power, Zone, read_power, read_zones


class Memory(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Main memory and swap, as the kernel counts them; 0 where it does not say."""

    total_bytes: int = 0
    available_bytes: int = 0
    swap_bytes: int = 0


class Machine(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Everything the doctor reads before it looks at runtimes."""

    arch: str
    board: Board
    cpu: Cpu
    memory: Memory
    disk_free_bytes: int
    os: str
    kernel: str
    python: str
    pointer_bits: int
    temperatures: tuple[Zone, ...]
    power: Power
    corals: tuple[Coral, ...]
    coolers: tuple[Cooler, ...] = ()
    disk: Disk = Disk()
    usb: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()


def ask(argv: Sequence[str]) -> str:
    """What a program says on stdout; nothing when it is absent, fails or takes longer than two seconds."""
    try:
        return run(argv, timeout_s=2).stdout
    except EdgekitError:
        return ""


def unasked(argv: Sequence[str]) -> str:
    """For recorded trees: no program is run."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to read: this machine by default, or a recorded tree of files."""

    root: Path = Path("/")
    arch: str = field(default_factory=platform.machine)
    disk: Path = Path()
    ask: Callable[[Sequence[str]], str] = ask
    python: str = field(default_factory=platform.python_version)
    pointer_bits: int = 64 if sys.maxsize > 2**32 else 32

    @property
    def here(self) -> bool:
        """Whether this is the machine that runs, not a recorded one."""
        return self.root == Path("/")


def read_machine(place: Place) -> Machine:
    """The machine whose files stand under `place.root`. Never raises for a file that is absent or unreadable."""
    root = place.root
    return Machine(
        arch=place.arch,
        board=read_board(root),
        cpu=read_cpu(root),
        memory=_memory(root),
        disk_free_bytes=_disk_free(place.disk),
        os=_os(root),
        kernel=tree.line(root, "proc/sys/kernel/osrelease"),
        python=place.python,
        pointer_bits=place.pointer_bits,
        temperatures=read_zones(root),
        power=read_power(root, place.ask),
        corals=read_corals(root),
        coolers=read_coolers(root),
        disk=read_disk(root),
        usb=read_usb(root),
        pci=read_pci(root),
    )


def _memory(root: Path) -> Memory:
    """`/proc/meminfo`, which counts in KiB."""
    found = {}
    for line in tree.text(root, "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        amount = rest.split()[:1]
        if amount and amount[0].isdecimal():
            found[name] = int(amount[0]) * 1024
    names = ("MemTotal", "MemAvailable", "SwapTotal")
    total, available, swap = (found.get(name, 0) for name in names)
    return Memory(total_bytes=total, available_bytes=available, swap_bytes=swap)


def _disk_free(folder: Path) -> int:
    try:
        return shutil.disk_usage(os.fspath(folder)).free
    except OSError:
        return 0


def _os(root: Path) -> str:
    """The name people know it by, out of `/etc/os-release`."""
    for line in (tree.text(root, "etc/os-release") or tree.text(root, "usr/lib/os-release")).splitlines():
        if line.startswith("PRETTY_NAME="):
            return tree.printable(line.partition("=")[2]).strip("\"'")
    return ""
