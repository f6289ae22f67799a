"""What is told of an event: when it begins, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from edgekit.apps.vision.events import Event
from edgekit.core.errors import InputError

Phase = Literal["new", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event and its beginning or end. `clip` and `snapshot` are names of files, empty when there is none."""

    phase: Phase
    event: Event
    clip: str = ""
    snapshot: str = ""

    @property
    def id(self) -> str:
        """The same for beginning and end, and for what is sent twice: receivers tell by it what they know already."""
        track = "" if self.event.track is None else f"-{self.event.track}"
        return f"{self.event.start_s:.3f}-{self.event.camera}-{self.event.rule}{track}".replace(" ", "_")

    @property
    def title(self) -> str:
        return f"{self.event.camera}: {self.event.type.replace('_', ' ')}"

    @property
    def text(self) -> str:
        """A sentence for people, with the numbers behind it."""
        said = "began" if self.phase == "new" else f"ended after {(self.event.end_s or 0.0) - self.event.start_s:.0f} s"
        numbers = ", ".join(f"{name} {value}" for name, value in self.event.evidence.items())
        return f"{self.event.rule} ({self.event.severity}) {said}, score {self.event.score:.2f}" + (
            f"; {numbers}" if numbers else ""
        )

    def as_json(self) -> dict[str, Any]:
        """The event's own keys, and what belongs to it."""
        return {"id": self.id, "phase": self.phase, **self.event.as_json(), "clip": self.clip, "snapshot": self.snapshot}


def message_of(event: Event, *, clip: str = "", snapshot: str = "") -> Message:
    """The message of an event as it was told: begun, or over."""
    return Message(phase="new" if event.end_s is None else "end", event=event, clip=clip, snapshot=snapshot)


def encoded(message: Message) -> bytes:
    """As it lies in the outbox."""
    return msgspec.json.encode(message, enc_hook=float)


def decoded(body: bytes) -> Message:
    """The message that lies in the outbox. Raises `InputError` for what is none."""
    try:
        return msgspec.json.decode(body, type=Message)
    except msgspec.MsgspecError as exc:
        raise InputError(f"the outbox holds something that is no message: {exc}") from exc
