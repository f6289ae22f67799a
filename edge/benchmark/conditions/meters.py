"""Power meters that boards carry, each under a name that tells where in the board it measures.

The INA3221 of Jetsons and the INA238 of a Jetson Thor's carrier board through the kernel's hwmon (voltages in mV, currents in
mA, power in µW) or JetPack 4's own driver (mW); the power management chip of a Raspberry Pi 5 through `vcgencmd`. Sources:
kernel documentation "ina3221" and "ina238"; NVIDIA's Jetson Linux guide, "Power monitors"; Raspberry Pi documentation, `vcgencmd`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.benchmark.conditions.sensors import ROOT, read_number, read_text
from edgekit.doctor.machine import ask as ask_program

VIN = "VIN"
"""What the one INA238 of a Jetson Thor's carrier board measures, where no label says so."""
TOTALS = ("VDD_IN", "POM_5V_IN", "5V_IN", VIN)
"""Rails that everything on the module is fed through; where there is one, the others are parts of it."""
UNCONNECTED = "NC"
PMIC = ("vcgencmd", "pmic_read_adc")
Ask = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter: `watts` reads it once, None when it does not answer (any more)."""

    name: str
    watts: Callable[[], float | None]


def find_meter(root: Path = ROOT, ask: Ask = ask_program) -> Meter | None:
    """The meter that tells most about the board whose files stand under `root`; None where there is none."""
    rails = [rail for rail in (*_hwmon(root), *_tegra(root)) if rail.watts() is not None]
    if rails:
        total = next((rail for name in TOTALS for rail in rails if rail.name.startswith(f"{name} (")), None)
        return total or _sum(rails)
    if (root / "usr/bin/vcgencmd").exists() and pmic_watts(ask(PMIC)) is not None:
        return Meter(
            name="sum of the PMIC's rails (vcgencmd pmic_read_adc), conversion losses and USB not in it",
            watts=lambda: pmic_watts(ask(PMIC)),
        )
    return None


def pmic_watts(said: str) -> float | None:
    """The sum over all rails of volts times amperes in what `vcgencmd pmic_read_adc` prints; None when that is something else."""
    found: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for rail, kind, value in re.findall(r"^\s*(\w+)_([AV])\b[^=\n]*=\s*(\d+(?:\.\d+)?)[AV]\s*$", said, re.MULTILINE):
        found[kind][rail] = float(value)
    both = found["A"].keys() & found["V"].keys()
    return sum(found["A"][rail] * found["V"][rail] for rail in sorted(both)) if both else None


def _hwmon(root: Path) -> Iterator[Meter]:
    for folder in sorted(root.glob("sys/class/hwmon/hwmon*")):
        chip = read_text(folder / "name") or ""
        if chip.startswith("ina3221"):
            yield from (_volts_times_amperes(folder, channel, chip) for channel in (1, 2, 3))
        elif chip == "ina238":
            label = (
                read_text(folder / "label") or read_text(folder / "in1_label") or (VIN if _is_jetson(root) else "unlabelled")
            )
            yield Meter(name=f"{label} ({chip})", watts=_scaled(folder / "power1_input", 1e-6))


def _is_jetson(root: Path) -> bool:
    """On any other machine somebody has wired the chip to what only they know."""
    return "nvidia,tegra" in (read_text(root / "proc/device-tree/compatible") or "")


def _volts_times_amperes(folder: Path, channel: int, chip: str) -> Meter:
    label = read_text(folder / f"in{channel}_label") or UNCONNECTED

    def watts() -> float | None:
        millivolts, milliamperes = (read_number(folder / f"{kind}{channel}_input") for kind in ("in", "curr"))
        return None if label == UNCONNECTED or millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6

    return Meter(name=f"{label} ({chip})", watts=watts)


def _tegra(root: Path) -> Iterator[Meter]:
    """JetPack 4: one file in milliwatts per rail."""
    for file in sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio*device*/rail_name_*")):
        channel = file.name.rpartition("_")[2]
        label = read_text(file) or UNCONNECTED
        if label != UNCONNECTED:
            yield Meter(name=f"{label} (ina3221x)", watts=_scaled(file.with_name(f"in_power{channel}_input"), 1e-3))


def _scaled(file: Path, unit: float) -> Callable[[], float | None]:
    def watts() -> float | None:
        value = read_number(file)
        return None if value is None else value * unit

    return watts


def _sum(rails: Sequence[Meter]) -> Meter:
    """All rails together, where none is said to feed the others; a rail that falls silent ends the sum."""

    def watts() -> float | None:
        found = [rail.watts() for rail in rails]
        known = [value for value in found if value is not None]
        return sum(known) if len(known) == len(found) else None

    return Meter(name=f"sum of {', '.join(rail.name for rail in rails)}", watts=watts)
