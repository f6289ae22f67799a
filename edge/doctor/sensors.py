"""Heat and power, as far as the board tells: thermal zones, throttling flags, the supply of a Raspberry Pi."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from edgekit.core.schema import Value
from edgekit.doctor import tree


class Zone(Value, frozen=True, kw_only=True):
    """One thermal zone, in degrees Celsius."""

    name: str
    celsius: float


class Power(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What is known of power; None where the board does not say.

    `throttled` are the firmware's flags: bits 0 to 3 are under-voltage, capped clock, throttled and soft temperature limit
    now, bits 16 to 19 the same at any time since boot (Raspberry Pi documentation, `vcgencmd get_throttled`).
    """

    throttled: int | None = None
    under_voltage: bool | None = None
    supply_ma: int | None = None


def read_zones(root: Path) -> tuple[Zone, ...]:
    """All thermal zones that give a believable temperature, hottest first. Zones of parts that are off refuse or lie."""
    zones = []
    for folder in tree.found(root, "sys/class/thermal/thermal_zone*"):
        milli = tree.integer(root, f"{folder}/temp")
        if milli is not None and -40_000 <= milli <= 150_000:
            zones.append(Zone(name=tree.line(root, f"{folder}/type") or folder.rpartition("/")[2], celsius=milli / 1000))
    return tuple(sorted(zones, key=lambda zone: -zone.celsius))


def read_power(root: Path, ask: Callable[[Sequence[str]], str]) -> Power:
    """Throttling flags, under-voltage alarm and supply current, from files first and `vcgencmd` second."""
    return Power(throttled=_throttled(root, ask), under_voltage=_under_voltage(root), supply_ma=_supply(root))


def _throttled(root: Path, ask: Callable[[Sequence[str]], str]) -> int | None:
    for name in tree.found(root, "sys/devices/platform/soc*/*firmware*/get_throttled"):
        flags = tree.integer(root, name, 16)
        if flags is not None:
            return flags
    if not (root / "usr/bin/vcgencmd").exists():
        return None
    said = re.search(r"throttled=(0x[0-9a-fA-F]+)", ask(("vcgencmd", "get_throttled")))
    return int(said[1], 16) if said else None


def _under_voltage(root: Path) -> bool | None:
    """The alarm of the kernel's Raspberry Pi voltage sensor."""
    for folder in tree.found(root, "sys/class/hwmon/hwmon*"):
        if tree.text(root, f"{folder}/name") == "rpi_volt":
            alarm = tree.integer(root, f"{folder}/in0_lcrit_alarm")
            return None if alarm is None else alarm != 0
    return None


def _supply(root: Path) -> int | None:
    """What the supply of a Raspberry Pi 5 agreed to give, in mA: a big-endian number in the device tree."""
    raw = tree.data(root, "proc/device-tree/chosen/power/max_current")
    return int.from_bytes(raw, "big") if len(raw) == 4 else None
