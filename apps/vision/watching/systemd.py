"""Telling systemd that all is well, in its own protocol: datagrams to the socket that it names in the environment."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)
ASKED_S = 60.0
"""What is asked of a unit that has no `WatchdogSec` of its own: the same unit runs apps that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """The service manager, if there is one. `watchdog_s` is how long it waits for a sign of life."""

    address: str = ""
    watchdog_s: float = ASKED_S
    asks: bool = False
    """Whether the unit has no watchdog until it is asked for one."""

    def ready(self) -> None:
        """The service has started."""
        self.say("READY=1" + (f"\nWATCHDOG_USEC={int(self.watchdog_s * 1e6)}" if self.asks else ""))

    def alive(self, status: str) -> None:
        """All is well; silence makes systemd end the service and start it again."""
        self.say(f"WATCHDOG=1\nSTATUS={_line(status)}")

    def unwell(self, status: str) -> None:
        """Say why there is no sign of life."""
        self.say(f"STATUS={_line(status)}")

    def stopping(self) -> None:
        self.say("STOPPING=1")

    def say(self, text: str) -> None:
        """Send a datagram; a manager that does not listen is no reason to stop."""
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.sendto(text.encode(), address)
        except OSError as exc:
            log.warning("systemd was not told %r: %s", text.partition("\n")[0], exc)


def from_environment(environment: Mapping[str, str] | None = None) -> Systemd:
    """The manager that the environment names; a watchdog that is meant for another process is not ours."""
    found = os.environ if environment is None else environment
    address = found.get("NOTIFY_SOCKET", "")
    given, meant_for = found.get("WATCHDOG_USEC", ""), found.get("WATCHDOG_PID", "")
    ours = given.isdigit() and int(given) > 0 and meant_for in ("", str(os.getpid()))
    if ours:
        return Systemd(address=address, watchdog_s=int(given) / 1e6)
    return Systemd(address=address, asks=bool(address))


def _line(status: str) -> str:
    return " ".join(status.split())
