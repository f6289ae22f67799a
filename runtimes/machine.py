"""What this machine has for a model in a process of its own: cores that compute, and memory that is free."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from edgekit.runtimes.base import cores

CPUS = Path("/sys/devices/system/cpu")
MEMORY = Path("/proc/meminfo")
RESERVE = 0.05
"""Of the free memory, for everything else on the machine."""


def compute_threads(threads: int = 0, *, cpus: Path = CPUS) -> int:
    """`threads`, or for 0 one for each physical core this process may use: siblings share the units that would compute."""
    if threads > 0:
        return threads
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(cores(0)))
    groups = {_siblings(cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu) for cpu in allowed}
    return max(1, len(groups))


def _siblings(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def free_memory(meminfo: Path = MEMORY) -> int:
    """Bytes that programs can still take without others being pushed out; 0 where the system does not say."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return 0
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "0")
    return int(kilobytes) * 1024


def usable_memory(limit: int = 0) -> int:
    """What a model may take: what is free less a reserve, and no more than `limit` when that is given."""
    free = int(free_memory() * (1 - RESERVE))
    return min(limit, free) if limit and free else limit or free


def hold_to(bytes_more: int) -> None:
    """Limit this process's address space to what it has now and so much more: too much becomes an error, not a killed board."""
    now = _address_space()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + bytes_more
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
