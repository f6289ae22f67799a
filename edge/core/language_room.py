"""What a board has for a language model: memory, and the speed at which it reads weights."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.core.facts import number
from edgekit.core.schema import Device

USABLE = 0.75
"""Of a board's memory; the rest is the operating system's and other programs'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a board has for a model: bytes (None: not known), and weights it reads in a second, with how that is known."""

    usable: int | None
    per_second: float | None
    known_from: str


def room_of(device: Device, memory_bytes: int = 0) -> Room:
    """`memory_bytes` is that of the very board, where it is sold in several sizes."""
    memory = memory_bytes or number(device, "memory_bytes")
    usable = None if memory is None else int(USABLE * memory)
    for fact, meaning in (
        ("language_bytes_per_s", "as measured with other models on this board"),
        ("memory_bandwidth_peak_bytes_per_s", "at the most: the peak of its memory, which no engine reaches"),
    ):
        found = number(device, fact)
        if found is not None:
            return Room(usable=usable, per_second=float(found), known_from=meaning)
    return Room(usable=usable, per_second=None, known_from="")


def speed(room: Room, read_bytes: int) -> float | None:
    """Tokens in a second that memory allows."""
    return None if room.per_second is None or not read_bytes else round(room.per_second / read_bytes, 1)
