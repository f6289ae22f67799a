"""What comes in: which files of a proposal the board lacks, and how they arrive piece by piece."""

from __future__ import annotations

from typing import BinaryIO

from edgekit.core.errors import DeviceError, InputError
from edgekit.deploy.board.condition import ensure_able, status
from edgekit.deploy.board.layout import Layout, name_of
from edgekit.deploy.nouns import Lacking, Offer, Part, Proposal

RESERVE_BYTES = 64 << 20
"""Space that stays free on the board's disk whatever is deployed."""
_PIECE = 1 << 20


def offer(layout: Layout, proposal: Proposal) -> Offer:
    """How the board is, and what it lacks for the proposal. Raises `DeviceError` when it cannot run it, or has no room."""
    found = status(layout)
    runs = found.active and found.release == name_of(proposal.release) and not found.problems
    if not runs:
        ensure_able(proposal, found.memory_bytes)
    return Offer(status=found, lacking=() if runs else lacking(layout, proposal), runs=runs)


def lacking(layout: Layout, proposal: Proposal) -> tuple[Lacking, ...]:
    """The files that must be uploaded, those that are half here with what there is. Raises `DeviceError` when they do not fit,
    though all was given up for them that the board does not need.
    """
    wanted = {part.sha256: part for part in proposal.parts if not layout.blob(part.sha256).is_file()}
    missing = tuple(Lacking(sha256=part.sha256, have=layout.have(part)) for part in wanted.values())
    needed = sum(wanted[each.sha256].bytes - each.have for each in missing)
    free = layout.make_room(needed + RESERVE_BYTES, {part.sha256 for part in proposal.parts}) if missing else 0
    if missing and needed + RESERVE_BYTES > free:
        raise DeviceError(
            f"{needed >> 20} MiB are to be uploaded, {free >> 20} MiB are free ({RESERVE_BYTES >> 20} stay so)",
            "what else fills its disk? sudo du -xh / | sort -h | tail",
        )
    return missing


def put(layout: Layout, part: Part, offset: int, data: BinaryIO) -> None:
    """Go on with a file at `offset`, from what comes in; one that is whole becomes a blob.

    Raises `InputError` at a gap, and `DeviceError` where the connection broke off: what came until then stays, for the next try.
    """
    if layout.blob(part.sha256).is_file():
        return
    grow(layout, part.sha256, offset, data)
    arrived = layout.partial(part.sha256).stat().st_size
    if arrived < part.bytes:
        raise DeviceError(
            f"the upload broke off: {arrived} of {part.bytes} bytes have arrived", "deploy again: it goes on there"
        )
    layout.complete(part.sha256)


def grow(layout: Layout, sha256: str, offset: int, data: BinaryIO) -> None:
    """Go on with a file at `offset`, from what comes in; what stood behind that is cut off. Raises `InputError` at a gap."""
    partial = layout.partial(sha256)
    size = partial.stat().st_size if partial.is_file() else 0
    if offset > size:
        raise InputError(f"the file {sha256[:12]}… goes on at byte {offset}, here it ends at {size}", "deploy again")
    with partial.open("r+b" if size else "wb") as file:
        file.truncate(offset)
        file.seek(offset)
        while piece := data.read(_PIECE):
            file.write(piece)
