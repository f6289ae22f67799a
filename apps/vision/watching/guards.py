"""What makes a site safe to leave on: it tells others, copies what it keeps, and looks after itself.

A camera whose thread ended or hangs is started anew, a few times an hour; what cannot be mended from inside (a network that
hangs in an accelerator, a disk that does not come back) ends the signs of life that systemd waits for.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import Protocol

from edgekit.apps.vision.cloud.copies import Copies
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.notify.courier import ChannelStatus
from edgekit.apps.vision.notify.notifier import Notifier, notifier_of
from edgekit.apps.vision.recording.store import Media
from edgekit.apps.vision.rules.settings import Site
from edgekit.apps.vision.watching.camera import SNAPSHOTS, CameraWatch
from edgekit.apps.vision.watching.systemd import Systemd, from_environment
from edgekit.apps.vision.watching.watchdog import Watchdog, complaints

log = logging.getLogger(__name__)
LOOK_S = 1.0
RENEWALS, RENEWALS_S = 5, 3600.0


class Guarded(Protocol):
    """What is guarded: a site that is watched."""

    @property
    def cameras(self) -> Mapping[str, CameraWatch]: ...
    @property
    def watchdogs(self) -> tuple[Watchdog, ...]: ...
    def renew(self, name: str) -> None: ...


class Guards:
    """The notifier, the copies and the watchdogs of a site. `told` and `kept` may be called from any thread."""

    def __init__(
        self,
        notifier: Notifier | None = None,
        copies: Copies | None = None,
        *,
        systemd: Systemd | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._notifier, self._copies, self._clock = notifier, copies, clock
        self._systemd = systemd or from_environment()
        self._renewed: dict[str, deque[float]] = {}
        self._said_s = float("-inf")
        self._stopped = Flag()
        self._thread: Thread | None = None
        self.troubles: tuple[str, ...] = ()
        """What keeps the site from being well."""

    def told(self, event: Event, media: Media) -> None:
        """An event began or ended."""
        if self._notifier is not None:
            self._notifier.tell(event, clip=media.clip, snapshot=media.snapshot)

    def kept(self, path: Path, camera: str, severity: str) -> None:
        """A clip or a snapshot is whole."""
        if self._copies is not None:
            self._copies.offer(path, camera, severity)

    def channels(self) -> tuple[ChannelStatus, ...]:
        """How notifications and copies are doing."""
        told = self._notifier.status() if self._notifier is not None else ()
        return (*told, *((self._copies.status(),) if self._copies is not None else ()))

    def start(self, site: Guarded) -> None:
        for part in (self._notifier, self._copies):
            if part is not None:
                part.start()
        self._systemd.ready()
        self._thread = Thread(target=self._look_on, args=(site,), name="guards", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the couriers; what waits is sent after the next start."""
        self._stopped.set()
        self._systemd.stopping()
        if self._thread is not None:
            self._thread.join(10.0)
        for part in (self._notifier, self._copies):
            if part is not None:
                part.close()

    def look(self, site: Guarded) -> None:
        """Look at everything once."""
        for name, watch in dict(site.cameras).items():
            if self._notifier is not None:
                self._notifier.seen(name, watch.status().feed.link.state == "running")
            if watch.failed or not watch.reading.well:
                self._renew(site, name)
        self.troubles = (*complaints(site.watchdogs), *self._given_up(site))
        self._report(site)

    def _look_on(self, site: Guarded) -> None:
        while not self._stopped.wait(LOOK_S):
            try:
                self.look(site)
            except (
                Exception
            ):  # a guard that dies guards nothing: the next look tries again, and systemd hears nothing meanwhile
                log.exception("the guards stumbled")

    def _renew(self, site: Guarded, name: str) -> None:
        """Start a camera anew, if that was not done too often."""
        now_s, times = self._clock(), self._renewed.setdefault(name, deque(maxlen=RENEWALS))
        if len(times) == RENEWALS and now_s - times[0] < RENEWALS_S:
            return
        times.append(now_s)
        log.warning("the camera %s is started anew: %s", name, site.cameras[name].failed or "its source hangs")
        site.renew(name)

    def _given_up(self, site: Guarded) -> Iterator[str]:
        """Cameras that need a new start still."""
        for name, watch in dict(site.cameras).items():
            if watch.failed or not watch.reading.well:
                yield f"camera {name} does not come back"

    def _report(self, site: Guarded) -> None:
        """A sign of life, some times within what systemd waits for."""
        now_s = self._clock()
        if self.troubles:
            self._systemd.unwell("; ".join(self.troubles))
        elif now_s - self._said_s >= self._systemd.watchdog_s / 4:
            self._said_s = now_s
            self._systemd.alive(f"{len(site.cameras)} cameras watched")


@contextmanager
def guarding(site: Site, folder: Path) -> Iterator[Guards]:
    """The guards that a site's file asks for. They are closed with the block, whether they were started or not."""
    notifier = copies = None
    try:
        if site.notify is not None:
            notifier = notifier_of(site.notify, site.cameras, folder, folder / SNAPSHOTS)
        if site.cloud is not None:
            copies = Copies(site.cloud, folder)
    except BaseException:
        if notifier is not None:
            notifier.close()
        raise
    guards = Guards(notifier, copies)
    try:
        yield guards
    finally:
        guards.stop()
