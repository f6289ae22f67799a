"""Which board this is: the device tree's names, Jetson Linux, and the power mode a Jetson runs in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from edgekit.core.schema import Value
from edgekit.doctor import tree

_RELEASE = re.compile(r"R(\d+).*?REVISION:\s*([\d.]+)")
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")


class Board(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Empty where the machine has no device tree or is no Jetson."""

    model: str = ""
    compatible: tuple[str, ...] = ()
    l4t: str = ""
    power_mode: str = ""
    power_modes: Mapping[str, int] = {}
    """The numbers `nvpmodel -m` knows the modes by, which differ from board to board."""


def read_board(root: Path) -> Board:
    """The board whose files stand under `root`."""
    modes = {tree.printable(name): int(number) for number, name in _MODE.findall(tree.text(root, "etc/nvpmodel.conf"))}
    return Board(
        model=_model(root),
        compatible=tree.strings(root, "proc/device-tree/compatible"),
        l4t=_l4t(tree.text(root, "etc/nv_tegra_release")),
        power_mode=_power_mode(tree.text(root, "var/lib/nvpmodel/status"), modes),
        power_modes=modes,
    )


def _model(root: Path) -> str:
    """The device tree's model, or what a PC's firmware calls it."""
    return tree.line(root, "proc/device-tree/model") or tree.line(root, "sys/class/dmi/id/product_name")


def _l4t(release: str) -> str:
    """`# R36 (release), REVISION: 4.3, ...` is 36.4.3."""
    found = _RELEASE.search(release)
    return f"{found[1]}.{found[2]}" if found else ""


def _power_mode(status: str, modes: Mapping[str, int]) -> str:
    """The name of the mode nvpmodel last set, which it keeps as a number: `pmode:0002`."""
    found = re.search(r"pmode:(\d+)", status)
    names = {number: name for name, number in modes.items()}
    return names.get(int(found[1]), "") if found else ""
