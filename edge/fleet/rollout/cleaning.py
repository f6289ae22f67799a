"""What nobody wants any more leaves the fleet's store: files that no wish and none of the last releases names."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from edgekit.core.schema import Value
from edgekit.fleet.nouns import Order, Rollout, Sealed
from edgekit.fleet.rollout.drive import note
from edgekit.fleet.server import subjects
from edgekit.fleet.trust import seal
from edgekit.fleet.wire.bus import Bus

KEPT = 3
"""Releases of a group that stay in the store, whatever its boards run now: who goes back by hand finds them."""
YOUNG_S = 86400.0
"""A file this new may belong to a rollout that is about to be written down."""


class Cleaned(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The files that were taken out, and how many stay."""

    removed: tuple[str, ...]
    kept: int


async def clean(bus: Bus, *, kept: int = KEPT, young_s: float = YOUNG_S, dry: bool = False) -> Cleaned:
    """Take out every file that is older than `young_s`, in no wish, and in none of the last `kept` (one at least) rollouts of a group.

    `dry`: only say which. Raises `EdgekitError` for a wish that does not parse, before anything is removed: it might name a file.
    """
    wanted = await _wanted(bus, max(kept, 1))
    files = await bus.files()
    oldest = time.time() - young_s
    removed = sorted(name for name, at_s in files.items() if name not in wanted and at_s <= oldest)
    for name in () if dry else removed:
        await bus.take_out(name)
    if removed and not dry:
        await note(bus, "clean", "store", f"{len(removed)} files")
    return Cleaned(removed=tuple(removed), kept=len(files) - len(removed))


async def _wanted(bus: Bus, kept: int) -> set[str]:
    """The hashes of all files that may still be asked for."""
    wishes = await bus.entries(subjects.DESIRED)
    found = _files(seal.decoded(entry.value) for entry in wishes.values())
    for group in await bus.entries(subjects.ROLLOUTS):
        found |= _files((await _releases(bus, group))[-kept:])
    return found


async def _releases(bus: Bus, group: str) -> list[Sealed]:
    """The orders of a group's rollouts, oldest first, as far back as the server keeps them."""
    entries = await bus.history(subjects.subject_of(subjects.ROLLOUTS, group), subjects.stream_of(subjects.ROLLOUTS))
    rollouts = (msgspec.json.decode(entry.value, type=Rollout) for entry in entries)
    return list({rollout.serial: rollout.order for rollout in rollouts}.values())


def _files(orders: Iterable[Sealed]) -> set[str]:
    made = (msgspec.json.decode(order.text, type=Order) for order in orders)
    return {part.sha256 for order in made if order.proposal for part in order.proposal.parts}
