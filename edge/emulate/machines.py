"""QEMU's machines that a card is started in, and which boards each of them can stand for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from edgekit.core.errors import NotFound, Unsupported
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Device, Value
from edgekit.core.strict_yaml import parse
from edgekit.emulate.cores import core_of
from edgekit.emulate.limits import Limits


class MachineType(Value, frozen=True, kw_only=True):
    """One of QEMU's machine types: the kernel that knows it, how its card and network are attached, and what it has and nothing else."""

    name: str
    note: str
    kernel: str
    modules: tuple[str, ...]
    partition: str
    card: str
    devices: tuple[str, ...]
    words: str = ""
    device_tree: str = ""
    family: str = ""
    core: str = ""
    cores: int | None = None
    cores_on: str = ""
    memory_mib: int | None = None
    saved: bool = True
    """Whether it can be saved while it runs, and woken again."""


@cache
def machine_types() -> tuple[MachineType, ...]:
    """All that are known."""
    found = parse((files("edgekit.emulate") / "machines.yaml").read_text("utf-8"), "machines.yaml").items()
    return tuple(msgspec.convert({"name": name, **about}, MachineType) for name, about in found)


def machine_type(name: str) -> MachineType:
    """The machine of that name. Raises `NotFound`."""
    known = {one.name: one for one in machine_types()}
    if name not in known:
        raise NotFound(f"no machine named {name!r}", did_you_mean(name, known, f"one of {', '.join(known)}"))
    return known[name]


VIRT = machine_type("virt")
"""Every board's, unless another is named: it takes any core and any memory, boots fastest, and can be saved."""


def ensure_stands_for(machine: MachineType, device: Device, limits: Limits) -> None:
    """Raise `Unsupported` for a board that the machine cannot stand for: of another family, with another core, or more memory."""
    core = core_of(device).model
    if machine.core and (machine.family, machine.core) != (device.family, core):
        raise Unsupported(
            f"{device.title} is not emulated on {machine.name}, which is a {machine.family} board with {machine.core}, not {core}",
            f"leave --machine out, for {VIRT.name!r}",
        )
    if machine.memory_mib and (limits.memory_bytes or 0) > machine.memory_mib << 20:
        raise Unsupported(
            f"{machine.name} has {machine.memory_mib} MiB of memory, {device.title} is to have {(limits.memory_bytes or 0) >> 20} MiB",
            f"less --memory, or no --machine, for {VIRT.name!r}",
        )
