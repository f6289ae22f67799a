"""Events through Apprise: mail, Telegram, ntfy, Matrix and some hundred others, each by an address of its own."""

from __future__ import annotations

import logging
from pathlib import Path

from edgekit.apps.vision.notify.courier import Unreachable
from edgekit.apps.vision.notify.message import decoded
from edgekit.apps.vision.notify.outbox import Waiting
from edgekit.core.errors import InputError
from edgekit.core.optional import need

KINDS = {"low": "info", "medium": "warning", "high": "failure"}
"""Apprise's words for how loud a message is."""


class Apprise:
    """One address: one that fails is tried again without telling the others twice."""

    def __init__(self, name: str, url: str, snapshots: Path) -> None:
        """Raises `InputError` for an address that Apprise does not know; it is not quoted, since it holds secrets."""
        apprise = need("apprise")
        logging.getLogger("apprise").disabled = True  # its lines quote addresses
        self.name, self._snapshots = name, snapshots
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise InputError(f"Apprise does not know the address of {name!r}", "apprise --details")

    def send(self, waiting: Waiting) -> None:
        """Deliver, with the picture where the service takes one."""
        message = decoded(waiting.body)
        picture = self._snapshots / message.snapshot
        attached = str(picture) if message.snapshot and picture.is_file() else None
        kind = KINDS[message.event.severity]
        if not self._apprise.notify(body=message.text, title=message.title, notify_type=kind, attach=attached):
            raise Unreachable(f"{self.name} was not delivered by Apprise")

    def tend(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing is held open."""
