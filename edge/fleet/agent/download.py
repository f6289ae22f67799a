"""A file from the fleet's store to the board's disk: piece by piece, going on where it broke off, checked by its hash at the end."""

from __future__ import annotations

import asyncio

import msgspec

from edgekit.core.errors import DeviceError
from edgekit.core.schema import Value
from edgekit.deploy.nouns import Part
from edgekit.fleet.agent.spool import Spool
from edgekit.fleet.board.place import Place
from edgekit.fleet.wire.bus import Bus
from edgekit.fleet.wire.values import Chunk, Stored, Unreachable

AHEAD = 2
"""Pieces that are asked for at once: one travels while another is written."""
_MARK_EVERY = 8
"""Pieces between two notes of how far it is: each is a write to the board's disk."""


class Mark(Value, frozen=True, kw_only=True):
    """How far a download is: `offset` bytes are there, the next piece is at `sequence` of the object `nuid`."""

    nuid: str
    offset: int
    sequence: int


async def download(bus: Bus, place: Place, spool: Spool, part: Part, have: int) -> None:
    """Bring the file here. Raises `NotFound` when the store has none, `DeviceError` when what came is not it, `Unreachable`."""
    stored, name = await bus.stored(part.sha256), f"download:{part.sha256}"
    if stored.bytes != part.bytes:
        raise DeviceError(
            f"the store's {part.name} has {stored.bytes} bytes, the order says {part.bytes}", "start the rollout again"
        )
    mark = _mark(spool.fact(name), stored, have)
    await asyncio.to_thread(place.begin, part, mark.offset)
    pieces = 0
    try:
        while mark.offset < stored.bytes:
            for chunk in await _ahead(bus, stored, mark.sequence):
                await asyncio.to_thread(place.append, part, chunk.data)
                mark = Mark(nuid=stored.nuid, offset=mark.offset + len(chunk.data), sequence=chunk.sequence + 1)
                pieces += 1
                if pieces % _MARK_EVERY == 0:
                    spool.remember(**{name: msgspec.json.encode(mark).decode()})
    except Unreachable:
        spool.remember(**{name: msgspec.json.encode(mark).decode()})
        raise
    spool.forget(name)
    await asyncio.to_thread(place.complete, part)


async def _ahead(bus: Bus, stored: Stored, sequence: int) -> list[Chunk]:
    """The next pieces. An object's pieces mostly follow one another, so the next places are asked for before they are known.

    Two answers may be the same piece where others lie between; it counts once.
    """
    answers = await asyncio.gather(*(bus.chunk(stored, max(sequence, 1) + step) for step in range(AHEAD if sequence else 1)))
    found = sorted({chunk.sequence: chunk for chunk in answers if chunk is not None}.items())
    if not found:
        raise DeviceError(f"the fleet's store has lost the end of {stored.sha256[:12]}…", "start the rollout again")
    return [chunk for _, chunk in found]


def _mark(text: str, stored: Stored, have: int) -> Mark:
    """Where to go on: at the note, when it is of this very object and the bytes are there; else at the beginning."""
    start = Mark(nuid=stored.nuid, offset=0, sequence=0)
    try:
        mark = msgspec.json.decode(text, type=Mark) if text else start
    except msgspec.DecodeError:
        return start
    return mark if mark.nuid == stored.nuid and 0 <= mark.offset <= min(have, stored.bytes) else start
