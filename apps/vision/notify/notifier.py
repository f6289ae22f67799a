"""Everybody who is told of a site's events, as one thing: `tell` puts an event into the queues of those whom it concerns."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.notify.courier import PATIENCE, Channel, ChannelStatus, Courier
from edgekit.apps.vision.notify.message import encoded, message_of
from edgekit.apps.vision.notify.mqtt import Mqtt
from edgekit.apps.vision.notify.outbox import RANKS, Outbox
from edgekit.apps.vision.notify.settings import Notify, secret
from edgekit.apps.vision.notify.through_apprise import Apprise
from edgekit.apps.vision.notify.webhook import Webhook
from edgekit.apps.vision.rules.settings import Camera
from edgekit.apps.vision.sources.states import Patience

log = logging.getLogger(__name__)
DATABASE = "outbox.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A channel, and the least severity that it wants."""

    channel: Channel
    least: str


class Notifier:
    """The channels of a site. `tell` may be called from any thread; it waits for the disk, never for the network."""

    def __init__(
        self,
        outbox: Outbox,
        lines: Sequence[Line],
        *,
        patience: Patience = PATIENCE,
        delivered: Callable[[str, float], None] = lambda name, latency_s: None,
    ) -> None:
        self._outbox, self._lines = outbox, tuple(lines)
        self._couriers = tuple(Courier(outbox, line.channel, patience=patience, delivered=delivered) for line in lines)
        self.unqueued = 0
        """Messages that the disk did not take."""

    def start(self) -> None:
        for courier in self._couriers:
            courier.start()

    def tell(self, event: Event, *, clip: str = "", snapshot: str = "") -> None:
        """An event began or ended."""
        message, noticed_s = message_of(event, clip=clip, snapshot=snapshot), time()
        for line in self._lines:
            if isinstance(line.channel, Mqtt):
                line.channel.said(message)
            if RANKS[event.severity] >= RANKS[line.least]:
                self._put(line.channel.name, encoded(message), event.severity, noticed_s)
        self._outbox.wake()

    def seen(self, camera: str, well: bool) -> None:
        """A camera gives frames, or no longer."""
        for line in self._lines:
            if isinstance(line.channel, Mqtt):
                line.channel.seen(camera, well)
        self._outbox.wake()

    def status(self) -> tuple[ChannelStatus, ...]:
        return tuple(courier.status() for courier in self._couriers)

    def close(self) -> None:
        """End the couriers; what waits is sent after the next start."""
        for courier in self._couriers:
            courier.stop()
        self._outbox.close()

    def _put(self, channel: str, body: bytes, severity: str, noticed_s: float) -> None:
        try:
            self._outbox.put(channel, body, severity=severity, noticed_s=noticed_s)
        except sqlite3.Error as exc:  # a full disk: the event itself is kept elsewhere, the cameras go on
            self.unqueued += 1
            log.error("a message for %s could not be queued: %s", channel, exc)


def lines_of(settings: Notify, cameras: Sequence[Camera], snapshots: Path) -> tuple[Line, ...]:
    """The channels that the settings ask for. Raises `InputError` for a secret that is not set, `MissingDependency`."""
    lines = []
    if settings.mqtt is not None:
        password = secret(settings.mqtt.password_env, "the broker's password")
        lines.append(Line(channel=Mqtt(settings.mqtt, password, cameras, snapshots), least=settings.mqtt.least))
    for number, hook in enumerate(settings.webhooks):
        signing = secret(hook.secret_env, f"the secret of webhook {number}")
        lines.append(Line(channel=Webhook(f"webhook {number}", hook.url, signing), least=hook.least))
    if settings.apprise is not None:
        urls = secret(settings.apprise.urls_env, "Apprise's addresses").split()
        channels = (Apprise(f"apprise {number}", url, snapshots) for number, url in enumerate(urls))
        lines += [Line(channel=channel, least=settings.apprise.least) for channel in channels]
    return tuple(lines)


def notifier_of(settings: Notify, cameras: Sequence[Camera], folder: Path, snapshots: Path) -> Notifier:
    """The notifier of a site whose files lie in `folder`."""
    lines = lines_of(settings, cameras, snapshots)
    return Notifier(Outbox(folder / DATABASE, most=settings.most), lines)
