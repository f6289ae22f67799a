"""What a board has and this machine has more of: memory, cores and storage, held to the figures of its profile."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import GateFailed
from edgekit.core.schema import Device

EMULATOR_BYTES = 160 << 20
"""Writable memory of qemu-aarch64 10.0 itself: 149 MB were measured, 128 MiB of them for translated code."""
SMALLEST_CARD_BYTES = 8 * 10**9
"""Where a profile names no size: the smallest card that is still sold for boards."""
_SIZE = re.compile(r"(\d+)(?:,| or|\s)*(?:\d+(?:,| or|\s)*)*GB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the board has; None: its profile does not say, so nothing is held to it."""

    memory_bytes: int | None
    cores: int | None
    storage_bytes: int

    @property
    def described(self) -> str:
        """One line for a person."""
        memory = f"{self.memory_bytes >> 20} MiB" if self.memory_bytes else "unlimited (not in the profile)"
        return f"memory {memory}, cores {self.cores or 'all'}, storage {self.storage_bytes / 1e9:g} GB"


def limits_of(device: Device, *, memory_bytes: int | None = None, storage_bytes: int | None = None) -> Limits:
    """The board's limits: the smallest it is sold with, unless another is given."""
    memory, cores = (device.facts.get(name) for name in ("memory_bytes", "cpu_cores"))
    return Limits(
        memory_bytes=memory_bytes or (int(memory.value) if memory else None),
        cores=int(cores.value) if cores else None,
        storage_bytes=storage_bytes or _storage(device),
    )


def prefix(limits: Limits) -> list[str]:
    """The programs that hold what follows them to memory and cores, and do not let it outlive this process. Memory is what a
    program may write to, as Linux counts `RLIMIT_DATA`, the emulator's own added; what is reserved and never touched counts,
    which a real board would let pass.
    """
    command = process.bound([])
    if limits.memory_bytes is not None:
        command += ["prlimit", f"--data={limits.memory_bytes + EMULATOR_BYTES}"]
    if limits.cores is not None:
        usable = sorted(os.sched_getaffinity(0))[: limits.cores]
        command += ["taskset", "--cpu-list", ",".join(map(str, usable))]
    return command


def ensure_stored(limits: Limits, what: str, paths: Iterable[Path]) -> int:
    """The bytes of the files and folders. Raises `GateFailed` with the numbers when the board's storage is smaller."""
    needed = sum(_bytes(path) for path in paths)
    if needed > limits.storage_bytes:
        raise GateFailed(
            f"{what} takes {needed} bytes, the board's storage has {limits.storage_bytes}",
            "a larger card (--storage), or fewer packages",
        )
    return needed


def ensure_loaded(limits: Limits, name: str, model_bytes: int) -> None:
    """Raise `GateFailed` when the model's file alone is larger than the board's memory: nothing need be started to know."""
    if limits.memory_bytes is not None and model_bytes > limits.memory_bytes:
        raise GateFailed(
            f"{name!r} does not fit: its model has {model_bytes} bytes, the board's memory {limits.memory_bytes}",
            "a smaller model, int8, or a board with more memory (--memory)",
        )


def _storage(device: Device) -> int:
    """The smallest size in the profile's words: `none (Lite), 8, 16 or 32 GB eMMC` has 8."""
    fact = device.facts.get("storage")
    found = _SIZE.search(str(fact.value)) if fact else None
    return int(found[1]) * 10**9 if found else SMALLEST_CARD_BYTES


def _bytes(path: Path) -> int:
    if path.is_dir():
        return sum(one.lstat().st_size for one in path.rglob("*") if one.is_symlink() or one.is_file())
    return path.stat().st_size
