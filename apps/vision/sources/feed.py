"""A source that is kept alive: a thread reads it into the place for the latest frame, and opens it again when it breaks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import random
from threading import Event, Lock, Thread
from time import monotonic

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.sources.address import Address
from edgekit.apps.vision.sources.base import Capture, PacketTap
from edgekit.apps.vision.sources.latest import Latest
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.sources.states import Link, Patience, checked, ended, failed, opened, with_frame
from edgekit.apps.vision.watching.watchdog import Watchdog
from edgekit.core.errors import EdgekitError

log = logging.getLogger(__name__)
Opener = Callable[[Address, "PacketTap | None"], Capture]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """What a page shows of a source."""

    link: Link
    captured: int
    dropped: int


def _plain_opener(address: Address, tap: PacketTap | None) -> Capture:
    return open_source(address, tap=tap)


class Feed:
    """Reads `address` until `stop`. `frames` holds the newest frame; `status` says how the source is doing.

    `on_change` is called with every new state, from the feed's own threads.
    """

    def __init__(
        self,
        address: Address,
        *,
        tap: PacketTap | None = None,
        patience: Patience | None = None,
        opener: Opener = _plain_opener,
        clock: Callable[[], float] = monotonic,
        dice: Callable[[], float] = random,
        on_change: Callable[[Link], None] = lambda link: None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.address, self.frames = address, Latest[Frame]()
        self._tap, self._opener, self._clock, self._dice = tap, opener, clock, dice
        self._patience, self._on_change = patience or Patience(), on_change
        self._watchdog = watchdog or Watchdog("source", float("inf"))
        self._lock, self._stopped, self._captured = Lock(), Event(), 0
        self._played_s = 0.0
        self._born_s = clock()
        self._link = opened(self._born_s)
        self._reader = Thread(target=self._read_on, name=f"feed {address.shown}", daemon=True)

    def start(self) -> None:
        self._reader.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread; a read that hangs in a library is left behind (its thread is a daemon)."""
        self._stopped.set()
        self.frames.close()
        if self._reader.is_alive():
            self._reader.join(timeout_s)

    def look(self) -> FeedStatus:
        """The state by the clock; called by whoever waits for frames, so that a stall shows even while a read hangs."""
        with self._lock:
            before, frames = self._link, self._captured
            if before.state != "lost":
                self._link = checked(before, self._clock(), self._patience, self._dice())
            found = self._link
        self._tell(before, found)
        return FeedStatus(link=found, captured=frames, dropped=self.frames.dropped)

    def _read_on(self) -> None:
        while not self._stopped.is_set():
            try:
                self._read_once()
            except EdgekitError as exc:
                self._lose(exc.message)
            if self._now("ended"):
                self.frames.close()
                return
            self._pause()

    def _read_once(self) -> None:
        """One connection, from opening to its end. Time goes on over connections, while a capture counts from its beginning."""
        with self._watchdog.step():
            capture = self._opener(self.address, self._tap)
        begun_s = self._clock()
        before_s = begun_s - self._born_s if self.address.live else self._played_s
        try:
            while not self._stopped.is_set():
                with self._watchdog.step():
                    frame = capture.read()
                if frame is None:
                    self._end()
                    return
                if not self.address.live:  # a recording plays at its own pace: read at once, all but its last frame were late
                    self._stopped.wait(max(begun_s + frame.time_s - self._clock(), 0.0))
                frame = replace(frame, time_s=before_s + frame.time_s)
                self._played_s, self._captured = frame.time_s, self._captured + 1
                self._move(lambda link: with_frame(link, self._clock()))
                self.frames.put(frame)
        finally:
            capture.close()

    def _end(self) -> None:
        """A recording is over; what was drawn by ourselves begins again."""
        if self.address.kind != "synthetic":
            self._move(lambda link: ended(link, self._clock()))

    def _lose(self, reason: str) -> None:
        log.warning("%s", reason)
        if not self.address.live:
            self._move(lambda link: ended(link, self._clock(), reason))
            return
        self._move(lambda link: failed(link, self._clock(), self._patience, self._dice(), reason))

    def _pause(self) -> None:
        """Wait until the next try is due."""
        with self._lock:
            wait = self._link.retry_s - self._clock()
        self._stopped.wait(max(wait, 0.0))
        self._move(lambda link: checked(link, self._clock(), self._patience, self._dice()) if link.state == "lost" else link)

    def _move(self, step: Callable[[Link], Link]) -> None:
        with self._lock:
            before, self._link = self._link, step(self._link)
            found = self._link
        self._tell(before, found)

    def _tell(self, before: Link, now: Link) -> None:
        if before.state != now.state:
            self._on_change(now)

    def _now(self, state: str) -> bool:
        with self._lock:
            return self._link.state == state
