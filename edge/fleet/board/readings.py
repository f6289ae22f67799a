"""What a board measures of itself, as numbers by name: its sensors, and what its app tells Prometheus."""

from __future__ import annotations

import math
import os
import re
import shutil
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from edgekit.benchmark.conditions.sensors import hottest_c, thermal_zones
from edgekit.deploy.board.service import ensure_local, opener
from edgekit.doctor.machine import ask
from edgekit.doctor.sensors import read_power

ROOT = Path("/")
MOST_FIGURES = 64
_LIMIT_BYTES = 1 << 20
_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{[^}]*\})?\s+(\S+)")
_OTHERS = ("python_", "process_")
_THROTTLED_NOW = 0xF
"""The firmware's flags for now; those above say what happened since the board started."""


def sensors(disk: Path, root: Path = ROOT) -> dict[str, float]:
    """Temperature, throttling, load, free memory and room on the disk that `disk` is on; what the board does not say is absent."""
    found = {"load": os.getloadavg()[0], "free_disk_bytes": float(shutil.disk_usage(disk if disk.exists() else root).free)}
    temperature, throttled = hottest_c(thermal_zones(root)), read_power(root, ask).throttled
    if temperature is not None:
        found["temperature_c"] = round(temperature, 1)
    if throttled is not None:
        found["throttled"] = float(bool(throttled & _THROTTLED_NOW))
    if memory := re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE):
        found["free_memory_bytes"] = float(int(memory[1]) * 1024)
    return found


def figures(url: str, token: str = "") -> dict[str, float]:
    """The app's own figures by name, those with labels added up, and whether it answered at all. Nothing without an address.

    Raises `InputError` for an address that is not on this board.
    """
    if not url:
        return {}
    ensure_local(url)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with opener().open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            text = answer.read(_LIMIT_BYTES).decode("utf-8", errors="replace")
    except (OSError, ValueError):
        return {"app_answers": 0.0}
    return {"app_answers": 1.0, **parsed(text)}


def parsed(text: str) -> Mapping[str, float]:
    """The figures in Prometheus' text format; those of Python and of the process itself are left out."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        matched = _LINE.match(line)
        if matched is None or matched[1].startswith(_OTHERS) or (matched[1] not in found and len(found) >= MOST_FIGURES):
            continue
        try:
            value = float(matched[2])
        except ValueError:
            continue
        if math.isfinite(value):
            found[matched[1]] = found.get(matched[1], 0.0) + value
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
