"""Brings one channel's queue to its other side: in order, again and again with growing pauses, until each thing is taken or refused."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import random
from threading import Event as Flag
from threading import Thread
from time import time
from typing import Protocol

from edgekit.apps.vision.notify.outbox import Counts, Outbox, Waiting
from edgekit.apps.vision.sources.states import Patience, delay_s
from edgekit.core.errors import EdgekitError

log = logging.getLogger(__name__)
PATIENCE = Patience(first_delay_s=1.0, longest_delay_s=120.0)
LATENCIES = 512
IDLE_S = 5.0


class Unreachable(EdgekitError):
    """The other side is not there, or not now: try again later."""


class Refused(EdgekitError):
    """The other side will not take this, however often it is tried."""


class Channel(Protocol):
    """One way to the outside. `send` returns when the other side has confirmed; it raises `Unreachable` or `Refused`."""

    @property
    def name(self) -> str: ...
    def send(self, waiting: Waiting) -> None: ...
    def tend(self) -> None:
        """Called every few seconds while there is nothing to send: keep a connection, if there is one."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """What a page shows of a channel: its counts, the last seconds from notice to delivery, and what stands in the way."""

    name: str
    counts: Counts
    latencies_s: tuple[float, ...]
    trouble: str
    failures: int


class Courier:
    """A thread for one channel."""

    def __init__(
        self,
        outbox: Outbox,
        channel: Channel,
        *,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time,
        dice: Callable[[], float] = random,
        delivered: Callable[[str, float], None] = lambda name, latency_s: None,
    ) -> None:
        self.channel = channel
        self._outbox, self._patience, self._clock, self._dice = outbox, patience, clock, dice
        self._delivered = delivered
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._failures, self._trouble = 0, ""
        self._stopped = Flag()
        self._thread = Thread(target=self._deliver_on, name=f"courier {channel.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread; what is not delivered stays in the outbox."""
        self._stopped.set()
        self._outbox.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self.channel.close()

    def status(self) -> ChannelStatus:
        return ChannelStatus(
            name=self.channel.name,
            counts=self._outbox.counts(self.channel.name),
            latencies_s=tuple(self._latencies),
            trouble=self._trouble,
            failures=self._failures,
        )

    def _deliver_on(self) -> None:
        while not self._stopped.is_set():
            changes = self._outbox.changes()
            waiting = self._outbox.first(self.channel.name)
            try:
                self._one(waiting)
            except Exception as exc:  # whatever a vendor's library raises: a courier that dies would tell nobody
                self._failed(waiting, exc)
                self._stopped.wait(delay_s(self._failures - 1, self._patience, self._dice()))
                continue
            self._failures, self._trouble = 0, ""
            if waiting is None:
                self._outbox.wait(changes, IDLE_S)

    def _one(self, waiting: Waiting | None) -> None:
        """Bring what has waited longest, if anything has."""
        if waiting is None:
            self.channel.tend()
            return
        try:
            self.channel.send(waiting)
        except Refused as exc:
            log.error("%s refuses for good: %s", self.channel.name, exc.message)
            self._outbox.refused(waiting)
        else:
            self._took(waiting)

    def _took(self, waiting: Waiting) -> None:
        """A clock that was set back since counts as no time at all."""
        self._outbox.done(waiting)
        latency_s = max(self._clock() - waiting.noticed_s, 0.0)
        self._latencies.append(latency_s)
        self._delivered(self.channel.name, latency_s)

    def _failed(self, waiting: Waiting | None, exc: Exception) -> None:
        """Only the kind of a foreign exception is said: its text may quote an address with a password."""
        said = exc.message if isinstance(exc, EdgekitError) else type(exc).__name__
        if said != self._trouble:
            log.warning("%s: %s; it is tried again", self.channel.name, said)
        self._failures, self._trouble = self._failures + 1, said
        if waiting is not None:
            self._outbox.tried(waiting)
