"""The fleet as the server knows it, kept up to date here: members, their reports, and the rollouts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from edgekit.core.schema import Value
from edgekit.fleet.nouns import Member, Report, Rollout
from edgekit.fleet.server import subjects
from edgekit.fleet.wire.bus import Bus
from edgekit.fleet.wire.values import Entry, Unreachable

LOOK_AGAIN_S = 30.0
_Kind = TypeVar("_Kind", bound=Value)


@dataclass(slots=True)
class Mirror:
    """A copy that follows. `heard` counts how often each board spoke, `at_s` is when it last did, by this machine's clock.

    What is looked up has the server's time; how far this clock is ahead of it shows at what was also heard when it came.
    """

    bus: Bus
    members: dict[str, Member] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    at_s: dict[str, float] = field(default_factory=dict)
    newest: dict[str, bytes] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    told: Callable[[], None] = lambda: None
    _came_s: dict[str, float] = field(default_factory=dict)
    _ahead_s: float = 0.0

    async def look(self) -> None:
        """Everything as it is now."""
        members = await self.bus.entries(subjects.MEMBERS)
        rollouts = await self.bus.entries(subjects.ROLLOUTS)
        reports = await self.bus.entries(subjects.REPORTED)
        self.members = _parsed(members, Member)
        self.rollouts = _parsed(rollouts, Rollout)
        self.revisions = {key: entry.revision for key, entry in rollouts.items()}
        self._take_looked_up(reports)
        self._ring()

    async def follow(self) -> None:
        """Until cancelled: reports as they come, and everything anew now and then, and whenever the connection was made again."""
        await self.bus.listen(subjects.subject_of(subjects.REPORTED, "*"), self._hear_report)
        bell = asyncio.Event()
        for bucket in (subjects.ROLLOUTS, subjects.MEMBERS):
            await self.bus.listen(subjects.subject_of(bucket, "*"), lambda *_: bell.set())
        while True:
            waits = [asyncio.create_task(event.wait()) for event in (bell, self.bus.back)]
            try:
                await asyncio.wait(waits, timeout=LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            bell.clear()
            self.bus.back.clear()
            with suppress(Unreachable):  # it will be back, and looked at again
                await self.look()

    def of_group(self, group: str) -> list[str]:
        """The boards of a group."""
        return [device for device, member in self.members.items() if member.group == group]

    def _hear_report(self, subject: str, data: bytes) -> None:
        device = subject.rpartition(".")[2]
        self._came_s[device] = time.time()
        self._take_report(device, data, self._came_s[device])
        self._ring()

    def _take_looked_up(self, reports: Mapping[str, Entry]) -> None:
        """A clock that runs ahead of the server's would else make every board silent at each look, and one behind none ever."""
        for device, entry in reports.items():
            if device in self._came_s and entry.value == self.newest.get(device):
                self._ahead_s = self._came_s[device] - entry.at_s
                break
        for device, entry in reports.items():
            self._take_report(device, entry.value, entry.at_s + self._ahead_s)

    def _take_report(self, device: str, data: bytes, at_s: float) -> None:
        """What does not parse, or speaks for another, is not believed. Only something new is a sign of life."""
        self.at_s[device] = at_s
        if data == self.newest.get(device):
            return
        self.newest[device] = data
        with suppress(msgspec.DecodeError):
            report = msgspec.json.decode(data, type=Report)
            if report.device == device:
                self.reports[device] = report
        self.heard[device] = self.heard.get(device, 0) + 1

    def _ring(self) -> None:
        self.changed.set()
        self.told()


def _parsed(entries: dict[str, Entry], kind: type[_Kind]) -> dict[str, _Kind]:
    found: dict[str, _Kind] = {}
    for key, entry in entries.items():
        with suppress(msgspec.DecodeError):
            found[key] = msgspec.json.decode(entry.value, type=kind)
    return found
