"""What the machine says of itself while it answers: memory, temperature, and how much of its memory's speed was used."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edgekit.core.facts import number
from edgekit.core.profiles import devices, recognise
from edgekit.core.schema import Device

SYS, PROC = Path("/sys"), Path("/proc")


def rss_bytes(pid: int | str = "self", proc: Path = PROC) -> int | None:
    """Resident memory of a process; None where the system does not say."""
    return _kilobytes(proc / str(pid) / "status", "VmRSS:")


def available_bytes(proc: Path = PROC) -> int | None:
    """Memory that programs may still have."""
    return _kilobytes(proc / "meminfo", "MemAvailable:")


def temperature_c(sys: Path = SYS) -> float | None:
    """The hottest sensor, in °C; None without sensors."""
    found = []
    for zone in sorted((sys / "class/thermal").glob("thermal_zone*/temp")):
        with suppress(OSError, ValueError):  # zones of parts that are switched off say no number
            found.append(int(zone.read_text()) / 1000)
    return max(found, default=None)


def board(proc: Path = PROC) -> Device | None:
    """The profile of this board, by its device tree; None for other machines."""
    with suppress(OSError):
        names = (proc / "device-tree/compatible").read_bytes().decode(errors="replace").split("\0")
        return recognise(devices(), [name for name in names if name])
    return None


def bandwidth_limit(device: Device | None) -> float | None:
    """Bytes per second that the board's memory brings at most, by its profile; None where no source says."""
    return number(device, "memory_bandwidth_peak_bytes_per_s") if device is not None else None


def bandwidth_share(model_bytes: int, cache_bytes: float, tokens_per_second: float, limit: float | None) -> float | None:
    """Of the limit: every token reads the model and the cache once."""
    if not limit or model_bytes <= 0 or tokens_per_second <= 0:
        return None
    return (model_bytes + cache_bytes) * tokens_per_second / limit


class Watch:
    """What is written down beside every query. The board is looked up once."""

    def __init__(self) -> None:
        self._limit = bandwidth_limit(board())

    def now(self) -> dict[str, int | float | None]:
        """Memory of this process, memory that is left, and the temperature."""
        return {"rss_bytes": rss_bytes(), "available_bytes": available_bytes(), "temperature_c": temperature_c()}

    def share(self, model_bytes: int, cache_bytes: float, tokens_per_second: float) -> float | None:
        """See `bandwidth_share`; None where the board's limit is not known."""
        return bandwidth_share(model_bytes, cache_bytes, tokens_per_second, self._limit)


def _kilobytes(path: Path, name: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return None
