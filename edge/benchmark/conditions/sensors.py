"""What the machine says about itself while it works: resident memory, temperature, clock. Unknown is None.

A sensor may vanish or answer nonsense while it is being read; that is unknown, not an error.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edgekit.benchmark.report import Reading
from edgekit.doctor.machine import ask as ask_program
from edgekit.doctor.sensors import read_power

ROOT = Path("/")
OWN = "self"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def reader(
    root: Path = ROOT, ask: Callable[[Sequence[str]], str] = ask_program, *, process: str = OWN
) -> Callable[[float], Reading]:
    """A function that reads all sensors once; it takes the seconds since the timed region began."""
    zones = thermal_zones(root)
    clocks = sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    gpus = [folder / "cur_freq" for folder in gpu_clocks(root)]

    def sense(at_s: float) -> Reading:
        return Reading(
            at_s=round(at_s, 3),
            rss_bytes=resident_bytes(root, process),
            temperature_c=hottest_c(zones),
            clock_mhz=fastest_mhz(clocks),
            gpu_mhz=fastest_mhz(gpus, per_mhz=1e6),
            throttled=read_power(root, ask).throttled,
        )

    return sense


def of_process(pid: int | None) -> str:
    """What /proc calls the process of that number; this one where there is none."""
    return OWN if pid is None else str(pid)


def resident_bytes(root: Path = ROOT, process: str = OWN) -> int | None:
    """A process's resident memory now."""
    words = (read_text(root / "proc" / process / "statm") or "").split()
    return int(words[1]) * _PAGE if len(words) > 1 and words[1].isdigit() else None


def peak_resident_bytes(root: Path = ROOT, process: str = OWN) -> int | None:
    """The most memory a process ever had resident (VmHWM: unlike ru_maxrss it does not inherit the parent's)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", read_text(root / "proc" / process / "status") or "", re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def hottest_c(zones: Iterable[Path]) -> float | None:
    """The highest plausible temperature of the thermal zones, degrees Celsius."""
    readings = [value / 1000 for zone in zones if (value := read_number(zone)) is not None]
    return max((value for value in readings if -40 < value < 150), default=None)


def thermal_zones(root: Path = ROOT) -> list[Path]:
    """The files that hold temperatures."""
    return sorted(root.glob("sys/class/thermal/thermal_zone*/temp"))


def gpu_clocks(root: Path = ROOT) -> list[Path]:
    """The folders of GPUs whose clock the kernel scales: 17000000.gpu, 57000000.gpu, 17000000.ga10b on Jetsons."""
    return [folder for folder in sorted(root.glob("sys/class/devfreq/*")) if re.search(r"gpu|ga10b|gv11b|gp10b", folder.name)]


def fastest_mhz(clocks: Iterable[Path], per_mhz: float = 1e3) -> float | None:
    """The highest of the clocks in these files, which count in kHz; those of GPUs in Hz (`per_mhz` 1e6)."""
    return max((value / per_mhz for clock in clocks if (value := read_number(clock))), default=None)


def read_number(path: Path) -> float | None:
    """The number in a small file, or None when there is none; "nan" and "inf" are none."""
    try:
        value = float((read_text(path) or "").strip())
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_text(path: Path) -> str | None:
    """The text of a small file, or None when it cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None
