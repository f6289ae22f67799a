"""The agent on a board: hears that its wishes changed, looks what they are now, has them carried out, and says how it went.

Killed at any point it goes on where it was, and what runs meanwhile is the old release or the new one, whole, since the switch is
that of `edgekit deploy`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from edgekit.core.errors import EdgekitError
from edgekit.fleet.agent.ledger import Ledger, ledger
from edgekit.fleet.agent.orders import Orders
from edgekit.fleet.agent.spool import Kind, Spool
from edgekit.fleet.agent.telling import Telling
from edgekit.fleet.board.place import Place
from edgekit.fleet.server import subjects
from edgekit.fleet.tasks import end
from edgekit.fleet.trust.authority import Access
from edgekit.fleet.wire.bus import Bus, connected
from edgekit.fleet.wire.values import Unreachable
from edgekit.signing.minisign import PublicKey

log = logging.getLogger(__name__)
HEARTBEAT_S = 60.0
LOOK_AGAIN_S = 900.0
"""However quiet it is, wishes are looked up this often: bells may be lost."""


@dataclass(slots=True)
class Agent:
    """One board's agent. `keys` gives the public keys that the board trusts at the moment."""

    access: Access
    place: Place
    spool: Spool
    keys: Callable[[], tuple[PublicKey, ...]]
    heartbeat_s: float = HEARTBEAT_S
    look_again_s: float = LOOK_AGAIN_S
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _telling: Telling = field(init=False)
    _orders: Orders = field(init=False)

    def __post_init__(self) -> None:
        self._telling = Telling(self.access, self.place, self.spool)
        self._orders = Orders(self.access, self.place, self.spool, self._telling, self.keys)

    async def run(self) -> None:
        """Until cancelled. A server that is away is waited for, and meanwhile readings and events are kept."""
        await asyncio.to_thread(self._settle)
        tasks = [asyncio.create_task(self._measure_always()), asyncio.create_task(self._serve_always())]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end(tasks)

    def ledger(self) -> Ledger:
        """What was written down of the newest order."""
        return ledger(self.spool)

    def look(self) -> None:
        """Look up the wishes now."""
        self._bell.set()

    async def _serve_always(self) -> None:
        """Connect, for as long as it takes; a refused credential is tried again slowly, since it may be mended at the server."""
        while True:
            try:
                async with connected(self.access, patient=True) as bus:
                    await self._serve(bus)
            except Unreachable as exc:
                log.warning("%s", exc)
            await asyncio.sleep(random.uniform(0.5, 1.5) * min(self.heartbeat_s, 30))

    async def _serve(self, bus: Bus) -> None:
        for key in (subjects.device_key(self.access.name), subjects.group_key(self.access.group)):
            await bus.listen(subjects.bell(key), lambda *_: self._bell.set())
        self._bell.set()
        tasks = [
            asyncio.create_task(work) for work in (self._obey_always(bus), self._tell_always(bus), self._look_when_back(bus))
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            bus.ensure_open()
            await asyncio.gather(*(task for task in tasks if task.done()))
        finally:
            await end(tasks)

    async def _look_when_back(self, bus: Bus) -> None:
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(bus.back.wait(), timeout=self.heartbeat_s)
            if bus.client.is_closed:
                return
            if bus.back.is_set():
                bus.back.clear()
                self._bell.set()

    async def _obey_always(self, bus: Bus) -> None:
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._bell.wait(), timeout=self.look_again_s * random.uniform(0.7, 1.3))
            self._bell.clear()
            try:
                await self._orders.obey_newest(bus)
            except Unreachable as exc:
                log.info("%s", exc)
                await asyncio.sleep(random.uniform(0.5, 1.5))
                self._bell.set()
            except EdgekitError as exc:  # what must be written down first could not be: its disk is full
                log.warning("%s", exc.message)
                await asyncio.sleep(self.heartbeat_s)
                self._bell.set()

    async def _measure_always(self) -> None:
        """Readings go on when the server is away."""
        await asyncio.sleep(random.uniform(0, self.heartbeat_s))
        while True:
            readings = await asyncio.to_thread(self.place.readings)
            self._say("reading", readings)
            await asyncio.sleep(self.heartbeat_s)

    async def _tell_always(self, bus: Bus) -> None:
        """Once it is heard again, wishes are looked up: behind a site's server no broken connection says that bells were missed."""
        heard = True
        while True:
            try:
                await self._telling.tell(bus)
                if not heard:
                    self._bell.set()
                heard = True
            except Unreachable:
                heard = False
            if bus.client.is_closed:
                return
            await asyncio.sleep(self.heartbeat_s * random.uniform(0.9, 1.1))

    def _settle(self) -> None:
        try:
            answer = self.place.settle()
        except (EdgekitError, OSError) as exc:
            self._say("event", {"what": "settling failed", "message": str(exc)})
            return
        if answer.message != "nothing is pending":
            self._say("event", {"what": "settled", "message": answer.message})

    def _say(self, kind: Kind, what: Mapping[str, object]) -> None:
        """Keep a line where there is room for one; a full disk is no reason to end."""
        try:
            self.spool.say(kind, what)
        except EdgekitError as exc:
            log.warning("%s", exc.message)
