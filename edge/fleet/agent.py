"""The agent on a board: hears that its wishes changed, looks what they are now, carries them out, and says how it went.

Everything it must not forget is written down before it acts: killed at any point it goes on where it was, and what runs meanwhile
is the old release or the new one, whole, since the switch is that of `edgekit deploy`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec

from edgekit.core.errors import EdgekitError, GateFailed, InputError
from edgekit.core.files import sha256_bytes
from edgekit.deploy.nouns import Proposal
from edgekit.fleet import seal, subjects
from edgekit.fleet.authority import Access
from edgekit.fleet.bus import Bus, connected
from edgekit.fleet.download import download
from edgekit.fleet.nouns import Order, Report, Verdict
from edgekit.fleet.place import Place
from edgekit.fleet.spool import Kind, Spool
from edgekit.fleet.tasks import end
from edgekit.fleet.wire import Unreachable
from edgekit.signing.minisign import PublicKey

log = logging.getLogger(__name__)
HEARTBEAT_S = 60.0
LOOK_AGAIN_S = 900.0
"""However quiet it is, wishes are looked up this often: bells may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The newest order that was begun here, and what became of it; no verdict yet when that is empty.

    `before` are the readings from before it was begun, `measured` what was measured after it: a killed agent could take neither again.
    """

    serial: int = 0
    digest: str = ""
    verdict: Verdict = ""
    message: str = ""
    before: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Agent:
    """One board's agent. `keys` gives the public keys that the board trusts at the moment."""

    access: Access
    place: Place
    spool: Spool
    keys: Callable[[], tuple[PublicKey, ...]]
    heartbeat_s: float = HEARTBEAT_S
    look_again_s: float = LOOK_AGAIN_S
    doing: str = ""
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)

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
        text = self.spool.fact("order")
        return Ledger(**msgspec.json.decode(text)) if text else Ledger()

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
                await self._obey_newest(bus)
            except Unreachable as exc:
                log.info("%s", exc)
                await asyncio.sleep(random.uniform(0.5, 1.5))
                self._bell.set()

    async def _obey_newest(self, bus: Bus) -> None:
        """The board's own wish counts before its group's."""
        for key in (subjects.device_key(self.access.name), subjects.group_key(self.access.group)):
            wish = await bus.get(subjects.DESIRED, key)
            if wish is not None:
                await self._obey(bus, wish.value)
                return

    async def _obey(self, bus: Bus, value: bytes) -> None:
        """Carry out an order, unless that was done; what is refused is said once."""
        try:
            wish = seal.decoded(value)
            order = seal.opened(wish, self.keys(), fleet=self.access.fleet, group=self.access.group)
            digest = seal.digest(wish)
            known = self.ledger()
            _ensure_newer(order, digest, known)
        except (GateFailed, InputError) as exc:
            await self._refuse(bus, value, exc)
            return
        begun = known if (known.serial, known.digest) == (order.serial, digest) else Ledger(serial=order.serial, digest=digest)
        if begun.verdict:
            return
        self._write(begun)
        self.spool.forget("refused")
        verdict, message = await self._carried_out(bus, order)
        self._write(replace(self.ledger(), verdict=verdict, message=message))
        self.spool.say("event", {"what": "order", "serial": order.serial, "verdict": verdict, "message": message})
        await self._tell(bus)

    async def _refuse(self, bus: Bus, value: bytes, exc: EdgekitError) -> None:
        mark = _mark(value)
        if self.spool.fact("refused") == mark:
            return
        self.spool.remember(refused=mark, refusal=exc.message)
        self.spool.say("event", {"what": "refused", "message": exc.message})
        await self._tell(bus)

    async def _carried_out(self, bus: Bus, order: Order) -> tuple[Verdict, str]:
        """The order's outcome. A server that goes away meanwhile is waited for: `Unreachable` passes through."""
        try:
            await self._measure_before(order.bench_s)
            if order.proposal is None:
                await self._doing(bus, "going back")
                answer = await asyncio.to_thread(self.place.leave, order.leave)
            else:
                await self._fetch(bus, order.proposal)
                await self._doing(bus, "proving")
                answer = await asyncio.to_thread(self.place.deploy, order.proposal)
            self._write(replace(self.ledger(), measured=await self._benchmark(order.bench_s)))
        except Unreachable:
            raise
        except GateFailed as exc:
            return "refused", exc.message
        except EdgekitError as exc:
            return "failed", exc.message
        except OSError as exc:  # its disk is full, or going bad
            return "failed", f"the board could not do it: {exc}"
        finally:
            self.doing = ""
        return ("ok" if answer.ok else "taken back"), answer.message

    async def _measure_before(self, bench_s: float) -> None:
        """Once for an order: whoever goes on with it may already run the new release, and would compare that with itself."""
        if not self.ledger().before:
            readings = {**await asyncio.to_thread(self.place.readings), **await self._benchmark(bench_s)}
            self._write(replace(self.ledger(), before=readings))

    async def _fetch(self, bus: Bus, proposal: Proposal) -> None:
        """Download what the board lacks."""
        offer = await asyncio.to_thread(self.place.offer, proposal)
        if not offer.lacking:
            return
        await self._doing(bus, "downloading")
        parts = {part.sha256: part for part in proposal.parts}
        for each in offer.lacking:
            await download(bus, self.place, self.spool, parts[each.sha256], each.have)

    async def _benchmark(self, duration_s: float) -> Mapping[str, float]:
        if not duration_s:
            return {}
        found = await asyncio.to_thread(self.place.latency_ms, duration_s)
        return {} if found is None else {"latency_ms": found}

    async def _doing(self, bus: Bus, what: str) -> None:
        self.doing = what
        await self._tell(bus)

    async def _measure_always(self) -> None:
        """Readings go on when the server is away."""
        await asyncio.sleep(random.uniform(0, self.heartbeat_s))
        while True:
            readings = await asyncio.to_thread(self.place.readings)
            try:
                self.spool.say("reading", readings)
            except EdgekitError as exc:
                log.warning("%s", exc)
            await asyncio.sleep(self.heartbeat_s)

    async def _tell_always(self, bus: Bus) -> None:
        """Once it is heard again, wishes are looked up: behind a site's server no broken connection says that bells were missed."""
        heard = True
        while True:
            try:
                await self._tell(bus)
                if not heard:
                    self._bell.set()
                heard = True
            except Unreachable:
                heard = False
            if bus.client.is_closed:
                return
            await asyncio.sleep(self.heartbeat_s * random.uniform(0.9, 1.1))

    async def _tell(self, bus: Bus) -> None:
        """Bring what waits to the server, and say how the board is: one after the other, so that no older report comes last."""
        async with self._telling:
            await self._empty(bus, "event", subjects.events(self.access.name))
            await self._empty(bus, "reading", subjects.telemetry(self.access.name))
            report = await asyncio.to_thread(self._report)
            await bus.put(subjects.REPORTED, self.access.name, msgspec.json.encode(report))

    async def _empty(self, bus: Bus, kind: Kind, subject: str) -> None:
        while batch := self.spool.next_batch(kind):
            await bus.publish(subject, batch.data, once=f"{self.access.name}:{kind}:{batch.first}-{batch.last}")
            self.spool.done(batch)

    def _report(self) -> Report:
        status, known = self.place.status(), self.ledger()
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
            doing=self.doing,
            order=known.serial,
            verdict=known.verdict,
            message=self.spool.fact("refusal") if refused else known.message,
            refused=refused,
            metrics={**self.place.readings(), **known.measured},
            before=known.before,
            waiting=self.spool.waiting(),
            dropped=self.spool.dropped(),
        )

    def _settle(self) -> None:
        try:
            answer = self.place.settle()
        except (EdgekitError, OSError) as exc:
            self.spool.say("event", {"what": "settling failed", "message": str(exc)})
            return
        if answer.message != "nothing is pending":
            self.spool.say("event", {"what": "settled", "message": answer.message})

    def _write(self, ledger: Ledger) -> None:
        self.spool.remember(order=msgspec.json.encode(ledger).decode())


def _mark(value: bytes) -> str:
    """What tells a wish from others, also one that does not parse."""
    try:
        return seal.digest(seal.decoded(value))
    except InputError:
        return sha256_bytes(value)


def _ensure_newer(order: Order, digest: str, known: Ledger) -> None:
    """Raises `GateFailed` for an order of the past, and for a second one of the same number."""
    if order.serial < known.serial:
        raise GateFailed(f"order {order.serial} is older than {known.serial}, which was obeyed here already")
    if order.serial == known.serial and digest != known.digest:
        raise GateFailed(f"there are two orders {order.serial}, and the other one was obeyed here already")
