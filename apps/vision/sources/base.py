"""What an opened source does, and what it says when it cannot."""

from __future__ import annotations

from typing import Any, Protocol

from edgekit.apps.vision.frames import Frame
from edgekit.core.errors import EdgekitError


class SourceLost(EdgekitError):
    """The source broke or never came: try again later."""


class PacketTap(Protocol):
    """Who wants the encoded packets as they pass, before they are decoded: the recorder."""

    def begin(self, stream: Any) -> None:
        """A stream was opened; its packets follow."""

    def packet(self, packet: Any) -> None:
        """One encoded packet; not to be changed."""


class Capture(Protocol):
    """An opened source."""

    def read(self) -> Frame | None:
        """The next frame, waiting for it; None at the end of a recording. Raises `SourceLost`."""

    def close(self) -> None:
        """Let go of the device or the connection."""
