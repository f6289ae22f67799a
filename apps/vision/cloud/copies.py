"""A site's copies elsewhere, as one thing: `offer` queues a file, a courier brings it."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from time import time

from edgekit.apps.vision.cloud.folder import Folder
from edgekit.apps.vision.cloud.s3 import S3
from edgekit.apps.vision.cloud.settings import Cloud
from edgekit.apps.vision.cloud.upload import Upload, encoded, key_of
from edgekit.apps.vision.notify.courier import PATIENCE, Channel, ChannelStatus, Courier
from edgekit.apps.vision.notify.outbox import RANKS, Outbox
from edgekit.apps.vision.notify.settings import secret
from edgekit.apps.vision.sources.states import Patience
from edgekit.core.errors import InputError

log = logging.getLogger(__name__)
DATABASE = "copies.db"


class Copies:
    """The copies of a site whose files lie in `folder`. Raises `InputError` for settings that name no place, or two."""

    def __init__(self, settings: Cloud, folder: Path, *, patience: Patience = PATIENCE) -> None:
        if (settings.s3 is None) == (not settings.folder):
            raise InputError("copies go either into a bucket or into a folder", "cloud: {s3: {bucket: NAME}}")
        self._settings = settings
        self._outbox = Outbox(folder / DATABASE, most=settings.most)
        self._courier = Courier(self._outbox, _channel(settings, self._outbox), patience=patience)
        self.unqueued = 0
        """Files that could not be queued: the disk took no more."""

    def start(self) -> None:
        self._courier.start()

    def offer(self, path: Path, camera: str, severity: str) -> None:
        """A clip or snapshot is whole: copy it, if copies of its kind are asked for."""
        wanted = RANKS[severity] >= RANKS[self._settings.least] and (self._settings.snapshots or path.suffix != ".jpg")
        if not wanted:
            return
        upload = Upload(path=str(path.absolute()), key=key_of(self._settings.prefix, camera, path, time()))
        try:
            self._outbox.put(self._courier.channel.name, encoded(upload), severity=severity, noticed_s=time())
        except sqlite3.Error as exc:  # a full disk: the file itself is kept, the cameras go on
            self.unqueued += 1
            log.error("the copy of %s could not be queued: %s", path.name, exc)

    def status(self) -> ChannelStatus:
        return self._courier.status()

    def close(self) -> None:
        """End the courier; what waits is copied after the next start."""
        self._courier.stop()
        self._outbox.close()


def _channel(settings: Cloud, outbox: Outbox) -> Channel:
    if settings.s3 is None:
        return Folder(Path(settings.folder))
    key, hidden = secret(settings.s3.key_env, "the key of the store"), secret(settings.s3.secret_env, "the store's secret")
    return S3(settings.s3, key, hidden, outbox.note)
