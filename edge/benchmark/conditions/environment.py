"""The machine and the software that a measurement was taken with."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from edgekit import __version__
from edgekit.benchmark.conditions.sensors import ROOT, fastest_mhz, gpu_clocks, read_number, read_text
from edgekit.benchmark.report import Environment
from edgekit.doctor.board import read_board
from edgekit.doctor.machine import unasked
from edgekit.doctor.sensors import read_power

_CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"


def environment(root: Path = ROOT) -> Environment:
    """What this machine is. Fields that it does not tell are null."""
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    clock = read_number(root / _CPUFREQ / "cpuinfo_max_freq")
    caps = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq")
    board = read_board(root)
    return Environment(
        machine=machine(root),
        compatible=compatible(root),
        cpu=cpu_model(cpuinfo),
        isa=platform.machine(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        memory_bytes=_memory_bytes(read_text(root / "proc/meminfo") or ""),
        virtual=bool(re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE)),
        governor=read_text(root / _CPUFREQ / "scaling_governor"),
        maximum_mhz=clock / 1000 if clock else None,
        os=_os_name(read_text(root / "etc/os-release") or ""),
        kernel=platform.release(),
        python=platform.python_version(),
        edgekit=__version__,
        load_average=_load_average(read_text(root / "proc/loadavg") or ""),
        cap_mhz=fastest_mhz(caps),
        gpu_cap_mhz=fastest_mhz([folder / "max_freq" for folder in gpu_clocks(root)], per_mhz=1e6),
        power_mode=board.power_mode,
        l4t=board.l4t,
        supply_ma=read_power(root, unasked).supply_ma,
    )


def machine(root: Path = ROOT) -> str:
    """The board's own name (device tree), else the computer's (DMI), else what is known of it."""
    named = (read_text(root / place) for place in ("proc/device-tree/model", "sys/class/dmi/id/product_name"))
    return next((name for name in named if name), f"{platform.system()} {platform.machine()}")


def compatible(root: Path = ROOT) -> tuple[str, ...]:
    """The device tree's names for this board, the most exact first; empty where there is no device tree."""
    return tuple(name for name in (read_text(root / "proc/device-tree/compatible") or "").split("\0") if name)


def cpu_model(cpuinfo: str) -> str:
    """The processor's name in /proc/cpuinfo; Arm kernels give only numbers, which are kept as they are."""
    if found := re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE):
        return found[1].strip()
    implementer = re.search(r"^CPU implementer\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)))
    return f"Arm implementer {implementer[1]}, part {' + '.join(parts)}" if implementer else platform.processor() or "unknown"


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes(meminfo: str) -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _os_name(release: str) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', release, re.MULTILINE)
    return found[1] if found else platform.system()


def _load_average(text: str) -> float | None:
    """The mean number of runnable processes over the last minute."""
    first = text.partition(" ")[0]
    return float(first) if re.fullmatch(r"\d+\.\d+", first) else None
