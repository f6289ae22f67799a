"""The operating systems that boards run, as far as wheels care: their Python and their C library."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from edgekit.core.errors import InputError, NotFound, Unsupported
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Device
from edgekit.core.strict_yaml import parse

OLDEST_PYTHON = (3, 10)
_MACHINES = {"armv8": "aarch64", "armv9": "aarch64", "x86-64": "x86_64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """An operating system's release, by its code name."""

    name: str
    title: str
    python: tuple[int, int]
    glibc: tuple[int, int]


@cache
def systems() -> tuple[System, ...]:
    """All that are known."""
    text = (files("edgekit.flash") / "systems.yaml").read_text("utf-8")
    found = parse(text, "systems.yaml").items()
    return tuple(
        System(name=name, title=of["title"], python=_pair(of["python"]), glibc=_pair(of["glibc"])) for name, of in found
    )


def system_of(device: Device, name: str = "") -> System:
    """The system called `name`, or else the one the device's profile says its own image has.

    Raises `NotFound` for a name nobody knows, `InputError` when neither says it, `Unsupported` when its Python is too old.
    """
    found = _named(name) if name else _by_profile(device)
    if found.python < OLDEST_PYTHON:
        shown = ".".join(map(str, found.python))
        raise Unsupported(
            f"{found.title} comes with Python {shown}, edgekit needs 3.10: no wheels fit it",
            "use a newer image, or a Python of your own",
        )
    return found


def machine_of(device: Device) -> str:
    """The device's machine as wheels name it. Raises `Unsupported` for one that no Python package is built for."""
    for start, machine in _MACHINES.items():
        if device.isa.startswith(start):
            return machine
    raise Unsupported(f"{device.title} has the instruction set {device.isa!r}, which no wheels are built for")


def platforms(system: System, machine: str) -> tuple[str, ...]:
    """Platform tags whose wheels run there, newest C library first (PEP 600), then the old names (PEP 513, 571, 599)."""
    major, minor = system.glibc
    tags = [f"manylinux_{major}_{each}_{machine}" for each in range(minor, 16, -1)]
    tags.append(f"manylinux2014_{machine}")
    return (*tags, *(("manylinux2010_x86_64", "manylinux1_x86_64") if machine == "x86_64" else ()))


def _named(name: str) -> System:
    found = next((each for each in systems() if each.name == name), None)
    if found is None:
        known = [each.name for each in systems()]
        raise NotFound(f"no system called {name!r}", did_you_mean(name, known, f"there are: {', '.join(known)}"))
    return found


def _by_profile(device: Device) -> System:
    fact = device.facts.get("os")
    found = next((each for each in systems() if fact is not None and each.title == fact.value), None)
    if found is None:
        known = ", ".join(f"{each.name} ({each.title})" for each in systems())
        raise InputError(f"which system runs on the {device.title} is not in its profile", f"--system, one of {known}")
    return found


def _pair(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
