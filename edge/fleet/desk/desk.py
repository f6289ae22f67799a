"""What a page or a program may ask of the fleet: a mirror that follows, and drivers for every rollout that is under way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from edgekit.core.errors import EdgekitError
from edgekit.fleet.desk.overview import boards, groups
from edgekit.fleet.rollout.drive import OVER, Driver, change
from edgekit.fleet.rollout.mirror import Mirror
from edgekit.fleet.tasks import end
from edgekit.fleet.trust.authority import Access
from edgekit.fleet.wire.bus import Bus, connected
from edgekit.fleet.wire.values import Unreachable

log = logging.getLogger(__name__)
LOOK_S = 1.0


class Desk:
    """One operator's view, shared by everybody who looks at the page."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._bus: Bus | None = None
        self._mirror: Mirror | None = None
        self._drivers: dict[str, asyncio.Task[object]] = {}

    @property
    def is_up(self) -> bool:
        """Whether the server is connected now; what is shown is otherwise what was known last."""
        return self._bus is not None and self._bus.is_up

    def boards(self) -> list[dict[str, Any]]:
        """A row for every board."""
        return boards(self._mirror, time.time()) if self._mirror else []

    def groups(self) -> list[dict[str, Any]]:
        """A group each, with its rollout."""
        return groups(self._mirror) if self._mirror else []

    async def change(self, group: str, verb: str, user: str) -> None:
        """Pause, resume or abort; the audit log has the user of the page as well. Raises `EdgekitError`s."""
        if self._bus is None:
            raise Unreachable(f"the server at {self.access.url} is not connected", "is it up?")
        reason = f"aborted by {user} on the page of {self.access.name}" if verb == "abort" else ""
        await change(self._bus, group, verb, reason)
        if self._mirror is not None:
            await self._mirror.look()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connected for the length of the block; a server that is not there yet is waited for in the background."""
        task = asyncio.create_task(self._always())
        try:
            yield
        finally:
            await end([task, *self._drivers.values()])

    async def _always(self) -> None:
        while True:
            try:
                async with connected(self.access, patient=True) as bus:
                    self._bus, self._mirror = bus, Mirror(bus)
                    await self._follow(bus, self._mirror)
            except EdgekitError as exc:
                log.warning("%s", exc.message)
            await asyncio.sleep(LOOK_S)

    async def _follow(self, bus: Bus, mirror: Mirror) -> None:
        await mirror.look()
        following = asyncio.create_task(mirror.follow())
        try:
            while not following.done():
                bus.ensure_open()
                self._drive(bus, mirror)
                await asyncio.sleep(LOOK_S)
        finally:
            await end([following])

    def _drive(self, bus: Bus, mirror: Mirror) -> None:
        """A driver for each rollout that is under way and has none here. One that failed is replaced."""
        for group, rollout in mirror.rollouts.items():
            task = self._drivers.get(group)
            if rollout.phase not in OVER and (task is None or task.done()):
                self._drivers[group] = asyncio.create_task(Driver(bus, group, Mirror(bus)).run())
