"""A rollout moved on from any operator's machine. Its whole state is a key on the server, written only over the revision that was read.

Whoever dies in the middle is replaced by whoever drives next; two who drive at once do each step once. Orders are sealed before the first
board gets one, the way back included, so that going on, halting and going back need no key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from edgekit.core.errors import InputError, NotFound
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Artifact
from edgekit.deploy.board.layout import name_of
from edgekit.deploy.nouns import Proposal
from edgekit.fleet.nouns import Deed, Order, Plan, Rollout, Sealed
from edgekit.fleet.rollout.mirror import Mirror
from edgekit.fleet.rollout.steps import Standing, checked, reached, standing, step
from edgekit.fleet.server import subjects
from edgekit.fleet.tasks import end
from edgekit.fleet.trust import seal
from edgekit.fleet.wire.bus import Bus
from edgekit.fleet.wire.values import Conflict, Unreachable
from edgekit.signing.sign import Signer

log = logging.getLogger(__name__)
TICK_S = 0.5
AT_ONCE = 64
OVER = ("returned", "done")
Say = Callable[[Rollout, Standing], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an operator wants a group to run, and how carefully."""

    group: str
    proposal: Proposal
    name: str
    plan: Plan
    bench_s: float = 0.0


async def begin(bus: Bus, wish: Wish, artifact: Artifact, signer: Signer | None, *, progress: Progress = silent) -> Rollout:
    """Upload the artifact, seal the orders, and write the rollout down. Raises `InputError` while another one is under way."""
    checked(wish.plan)
    found = await bus.get(subjects.ROLLOUTS, wish.group)
    last = msgspec.json.decode(found.value, type=Rollout) if found else None
    if last and last.phase not in OVER:
        raise InputError(
            f"a rollout of {last.name!r} by {last.by} is {last.phase} in {wish.group!r}",
            f"edgekit fleet abort {wish.group}, or wait for it",
        )
    await _upload(bus, wish.proposal, artifact, progress)
    rollout = _planned(bus, wish, signer, after=last.serial if last else 0)
    await bus.put(subjects.ROLLOUTS, wish.group, msgspec.json.encode(rollout), after=found.revision if found else 0)
    await note(bus, "rollout", wish.group, f"{wish.name} as order {rollout.serial}, waves {_shares(wish.plan)}")
    return rollout


async def change(bus: Bus, group: str, verb: str, reason: str = "") -> Rollout:
    """Pause, resume or abort the group's rollout. Raises `NotFound`, `InputError` when there is nothing to do that to, `Conflict`."""
    phases = {"pause": ("running", "paused"), "resume": ("paused", "running"), "abort": ("running paused", "returning")}
    before, after = phases[verb]
    found = await bus.get(subjects.ROLLOUTS, group)
    if found is None:
        raise NotFound(f"there was never a rollout in {group!r}", "edgekit fleet status")
    rollout = msgspec.json.decode(found.value, type=Rollout)
    if rollout.phase not in before.split():
        raise InputError(f"the rollout of {rollout.name!r} in {group!r} is {rollout.phase}: nothing to {verb}")
    changed = msgspec.structs.replace(
        rollout, phase=after, reason=reason or (f"aborted by {bus.access.name}" if verb == "abort" else "")
    )
    await bus.put(subjects.ROLLOUTS, group, msgspec.json.encode(changed), after=found.revision)
    await note(bus, verb, group, rollout.name)
    return changed


async def note(bus: Bus, verb: str, about: str, detail: str = "") -> None:
    """A line of the audit log, which the server keeps under this operator's name."""
    deed = Deed(verb=verb, about=about, detail=detail)
    await bus.publish(subjects.audit(bus.access.name), msgspec.json.encode(deed))


@dataclass(slots=True)
class Driver:
    """Moves one group's rollout on until it is over."""

    bus: Bus
    group: str
    mirror: Mirror
    say: Say = lambda rollout, now: None
    _sent: set[str] = field(default_factory=set)
    _returned: set[str] = field(default_factory=set)
    _wave: tuple[int, int] = (0, -1)
    _since: float = 0.0
    _settled: float | None = None
    _counts: dict[str, int] = field(default_factory=dict)

    async def run(self) -> Rollout:
        """Until the rollout is over, whoever ended it. A server that is away is waited for."""
        following = asyncio.create_task(self.mirror.follow())
        try:
            await self.mirror.look()
            while True:
                try:
                    rollout = await self._advance()
                    if rollout.phase in OVER:
                        return rollout
                except (Unreachable, Conflict) as exc:  # looked at again, and decided again
                    log.info("%s", exc.message)
                self.bus.ensure_open()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.mirror.changed.wait(), timeout=TICK_S)
                self.mirror.changed.clear()
                await asyncio.sleep(0.05)  # reports come in swarms
        finally:
            await end([following])

    async def _advance(self) -> Rollout:
        """One look, and at most one step."""
        found = await self.bus.get(subjects.ROLLOUTS, self.group)
        if found is None:
            raise NotFound(f"there was never a rollout in {self.group!r}", "edgekit fleet status")
        rollout = msgspec.json.decode(found.value, type=Rollout)
        changed = await self._acted(rollout)
        if changed != rollout:
            await self.bus.put(subjects.ROLLOUTS, self.group, msgspec.json.encode(changed), after=found.revision)
            await note(self.bus, changed.phase, self.group, changed.reason or f"{changed.name}, wave {changed.wave + 1}")
        return changed

    async def _acted(self, rollout: Rollout) -> Rollout:
        devices = reached(rollout, self.mirror.of_group(self.group))
        if rollout.phase == "running":
            return await self._wave_on(rollout, devices)
        if rollout.phase == "returning":
            await self._order(devices, rollout.back)
            return msgspec.structs.replace(rollout, phase="returned")
        if rollout.phase == "finishing":
            await self._finish(rollout, devices)
            return msgspec.structs.replace(rollout, phase="done")
        return rollout

    async def _wave_on(self, rollout: Rollout, devices: list[str]) -> Rollout:
        if not devices:
            return msgspec.structs.replace(rollout, phase="returning", reason=f"halted: no boards are in {self.group!r}")
        if self._wave != (rollout.serial, rollout.wave):
            self._wave, self._since, self._settled = (rollout.serial, rollout.wave), time.monotonic(), None
            self._counts = dict(self.mirror.heard)
        await self._order([device for device in devices if device not in self._sent], rollout.order)
        self._sent.update(devices)
        await self._order([device for device in rollout.failed if device not in self._returned], rollout.back)
        self._returned.update(rollout.failed)
        heard = {device for device in devices if self.mirror.heard.get(device, 0) > self._counts.get(device, 0)}
        now = standing(rollout, devices, self.mirror.reports, heard, gated=False)
        passed = time.monotonic() - self._since
        absent, late = passed >= rollout.plan.absent_s, passed >= rollout.plan.deadline_s
        waiting = (now.working and not late) or (now.silent and not absent)
        self._settled = None if waiting else self._settled or time.monotonic()
        soaked = self._settled is not None and time.monotonic() - self._settled >= rollout.plan.soak_s
        if soaked:  # readings of the first seconds say little
            now = standing(rollout, devices, self.mirror.reports, heard)
        self.say(rollout, now)
        return step(rollout, now, reached=len(devices), soaked=soaked, absent=absent, late=late)

    async def _finish(self, rollout: Rollout, devices: list[str]) -> None:
        """The group's wish becomes the order; boards keep none of their own, but those that failed, which stay away from it."""
        await self._order([device for device in devices if device in rollout.failed], rollout.back)
        await self.bus.put(subjects.DESIRED, subjects.group_key(self.group), seal.encoded(rollout.order))
        await _all(
            self.bus.purge(subjects.DESIRED, subjects.device_key(device)) for device in devices if device not in rollout.failed
        )

    async def _order(self, devices: Iterable[str], wish: Sealed) -> None:
        """Each board's own wish becomes this one. Doing it twice changes nothing."""
        value = seal.encoded(wish)
        await _all(self.bus.put(subjects.DESIRED, subjects.device_key(device), value) for device in devices)


def _planned(bus: Bus, wish: Wish, signer: Signer | None, *, after: int) -> Rollout:
    """The rollout with both of its orders. Serials are seconds where the clock was set, and grow where it was not."""
    serial, release = max(int(time.time()), after + 2), name_of(wish.proposal.release)
    fleet, group = bus.access.fleet, wish.group
    order = Order(fleet=fleet, group=group, serial=serial, proposal=wish.proposal, bench_s=wish.bench_s)
    back = Order(fleet=fleet, group=group, serial=serial + 1, leave=release)
    return Rollout(
        group=wish.group,
        serial=serial,
        name=wish.name,
        release=release,
        order=seal.sealed(order, signer),
        back=seal.sealed(back, signer),
        plan=wish.plan,
        by=bus.access.name,
    )


async def _upload(bus: Bus, proposal: Proposal, artifact: Artifact, progress: Progress) -> None:
    for number, part in enumerate(proposal.parts):
        progress(Event(stage="upload", done=number, total=len(proposal.parts)))
        await bus.upload(artifact.path / part.name, part.sha256)


async def _all(works: Iterable[object]) -> None:
    """Carry out all of them, `AT_ONCE` at a time."""
    waiting: Sequence[object] = list(works)
    for start in range(0, len(waiting), AT_ONCE):
        await asyncio.gather(*waiting[start : start + AT_ONCE])  # type: ignore[call-overload]


def _shares(plan: Plan) -> str:
    return ", ".join(f"{wave:.4g}" for wave in plan.waves)
