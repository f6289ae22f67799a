"""What a board says: readings and events out of its spool, and how it is, one after the other, so that no older report comes last."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import msgspec

from edgekit.core.errors import EdgekitError
from edgekit.fleet.agent.ledger import ledger
from edgekit.fleet.agent.spool import Kind, Spool
from edgekit.fleet.board.place import Place
from edgekit.fleet.nouns import Report
from edgekit.fleet.server import subjects
from edgekit.fleet.trust.authority import Access
from edgekit.fleet.wire.bus import Bus
from edgekit.fleet.wire.values import Unreachable

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Telling:
    """`busy_with` is what the board is doing now, if anything."""

    access: Access
    place: Place
    spool: Spool
    busy_with: str = ""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def doing(self, bus: Bus, what: str) -> None:
        self.busy_with = what
        await self.tell(bus)

    async def tell(self, bus: Bus) -> None:
        """Bring what waits to the server, and say how the board is."""
        async with self._lock:
            try:
                await self._empty(bus, "event", subjects.events(self.access.name))
                await self._empty(bus, "reading", subjects.telemetry(self.access.name))
            except Unreachable:
                raise
            except EdgekitError as exc:  # its disk is full: that it lives is said all the same
                log.warning("%s", exc.message)
            report = await asyncio.to_thread(self._report)
            await bus.put(subjects.REPORTED, self.access.name, msgspec.json.encode(report))

    async def _empty(self, bus: Bus, kind: Kind, subject: str) -> None:
        while batch := self.spool.next_batch(kind):
            await bus.publish(
                subject, batch.data, once=f"{self.access.name}:{self.spool.epoch}:{kind}:{batch.first}-{batch.last}"
            )
            self.spool.done(batch)

    def _report(self) -> Report:
        status, known = self.place.status(), ledger(self.spool)
        refused = self.spool.fact("refused")
        return Report(
            device=self.access.name,
            group=self.access.group,
            release=status.release,
            app=status.app,
            artifact=status.artifact_name,
            active=status.active,
            profile=status.device,
            edgekit=status.edgekit,
            doing=self.busy_with,
            order=known.serial,
            verdict=known.verdict,
            message=self.spool.fact("refusal") if refused else known.message,
            refused=refused,
            metrics={**self.place.readings(), **known.measured},
            before=known.before,
            waiting=self.spool.waiting(),
            dropped=self.spool.dropped(),
        )
