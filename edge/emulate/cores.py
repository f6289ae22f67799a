"""Which of QEMU's processors stands for a board's. Never `max`: it has instructions that no board has, and hides what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from edgekit.core.errors import Unsupported
from edgekit.core.schema import Device
from edgekit.core.strict_yaml import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A board's core and the model QEMU runs in its place; `lacks` is empty where the two are the same."""

    name: str
    model: str
    exact: bool
    lacks: str = ""

    @property
    def described(self) -> str:
        """For a person: the model, and what it stands for."""
        return self.model if self.exact else f"{self.model} in place of {self.name}, which has beside it {self.lacks}"


@cache
def cores() -> tuple[Core, ...]:
    """All cores of boards that QEMU has a model for."""
    found = parse((files("edgekit.emulate") / "cores.yaml").read_text("utf-8"), "cores.yaml").items()
    return tuple(Core(name=name, **about) for name, about in found)


def core_of(device: Device) -> Core:
    """The core of a board. Raises `Unsupported` where its profile names none, or none that QEMU knows."""
    fact = device.facts.get("cpu_model")
    if fact is None:
        raise Unsupported(
            f"the profile of {device.title} names no processor core, so there is nothing to emulate",
            "an accelerator on a board: emulate that board, such as rpi5",
        )
    found = next((core for core in cores() if core.name == fact.value), None)
    if found is None:
        known = ", ".join(core.name for core in cores())
        raise Unsupported(f"{device.title} has a {fact.value}, which is not emulated", f"cores with a model: {known}")
    return found
