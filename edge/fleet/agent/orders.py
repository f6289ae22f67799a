"""What a board is told, carried out: the newest wish is looked up, believed or refused, begun once, and ended with a verdict.

Everything that must not be forgotten is written down before it is acted upon: killed at any point it goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgekit.core.errors import EdgekitError, GateFailed, InputError
from edgekit.core.files import sha256_bytes
from edgekit.deploy.nouns import Proposal
from edgekit.fleet.agent.download import download
from edgekit.fleet.agent.ledger import Ledger, amend, ledger, write
from edgekit.fleet.agent.spool import Spool
from edgekit.fleet.agent.telling import Telling
from edgekit.fleet.board.place import Place
from edgekit.fleet.nouns import Order, Verdict
from edgekit.fleet.server import subjects
from edgekit.fleet.trust import seal
from edgekit.fleet.trust.authority import Access
from edgekit.fleet.wire.bus import Bus
from edgekit.fleet.wire.values import Unreachable
from edgekit.signing.minisign import PublicKey


@dataclass(slots=True)
class Orders:
    """`keys` gives the public keys that the board trusts at the moment."""

    access: Access
    place: Place
    spool: Spool
    telling: Telling
    keys: Callable[[], tuple[PublicKey, ...]]

    async def obey_newest(self, bus: Bus) -> None:
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
            known = ledger(self.spool)
            _ensure_newer(order, digest, known)
        except (GateFailed, InputError) as exc:
            await self._refuse(bus, value, exc)
            return
        begun = known if (known.serial, known.digest) == (order.serial, digest) else Ledger(serial=order.serial, digest=digest)
        if begun.verdict:
            return
        write(self.spool, begun)
        self.spool.forget("refused")
        verdict, message = await self._carried_out(bus, order)
        amend(self.spool, verdict=verdict, message=message)
        self.spool.say("event", {"what": "order", "serial": order.serial, "verdict": verdict, "message": message})
        await self.telling.tell(bus)

    async def _refuse(self, bus: Bus, value: bytes, exc: EdgekitError) -> None:
        mark = _mark(value)
        if self.spool.fact("refused") == mark:
            return
        self.spool.remember(refused=mark, refusal=exc.message)
        self.spool.say("event", {"what": "refused", "message": exc.message})
        await self.telling.tell(bus)

    async def _carried_out(self, bus: Bus, order: Order) -> tuple[Verdict, str]:
        """The order's outcome. A server that goes away meanwhile is waited for: `Unreachable` passes through."""
        try:
            await self._measure_before(order.bench_s)
            if order.proposal is None:
                await self.telling.doing(bus, "going back")
                answer = await asyncio.to_thread(self.place.leave, order.leave)
            else:
                await self._fetch(bus, order.proposal)
                await self.telling.doing(bus, "proving")
                answer = await asyncio.to_thread(self.place.deploy, order.proposal)
            amend(self.spool, measured=await self._benchmark(order.bench_s))
        except Unreachable:
            raise
        except GateFailed as exc:
            return "refused", exc.message
        except EdgekitError as exc:
            return "failed", exc.message
        except OSError as exc:  # its disk is full, or going bad
            return "failed", f"the board could not do it: {exc}"
        finally:
            self.telling.busy_with = ""
        return ("ok" if answer.ok else "taken back"), answer.message

    async def _measure_before(self, bench_s: float) -> None:
        """Once for an order: whoever goes on with it may already run the new release, and would compare that with itself."""
        if not ledger(self.spool).before:
            readings = {**await asyncio.to_thread(self.place.readings), **await self._benchmark(bench_s)}
            amend(self.spool, before=readings)

    async def _fetch(self, bus: Bus, proposal: Proposal) -> None:
        """Download what the board lacks."""
        offer = await asyncio.to_thread(self.place.offer, proposal)
        if not offer.lacking:
            return
        await self.telling.doing(bus, "downloading")
        parts = {part.sha256: part for part in proposal.parts}
        for each in offer.lacking:
            await download(bus, self.place, self.spool, parts[each.sha256], each.have)

    async def _benchmark(self, duration_s: float) -> Mapping[str, float]:
        if not duration_s:
            return {}
        found = await asyncio.to_thread(self.place.latency_ms, duration_s)
        return {} if found is None else {"latency_ms": found}


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
