"""What the interface answers: shapes that the OpenAPI description is made of."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Severity = Literal["low", "medium", "high"]


class EventOut(BaseModel):
    """An event. Times are seconds since 1970; `end_s` is null while it lasts."""

    id: int
    camera: str
    rule: str
    type: str
    severity: str
    start_s: float
    end_s: float | None
    score: float
    track: int | None
    evidence: dict[str, Any]
    kept: bool
    clip: str | None = Field(description="where to get the clip, if there is one")
    snapshot: str | None = Field(description="where to get the picture, if there is one")


class EventsOut(BaseModel):
    """Events, newest first. `before` asks for the next ones: give it back as it is; null when there are no more."""

    events: list[EventOut]
    before: str | None


class CameraOut(BaseModel):
    """A camera. `source` is shown without user, password and query."""

    name: str
    source: str
    state: str
    reason: str
    fps: float
    frames: int
    dropped: int
    losses: int
    followed: int
    failed: str
    private: bool


class ChannelOut(BaseModel):
    """A way to the outside: what waits, what came through, what was given up, and what stands in the way."""

    name: str
    waiting: int
    sent: int
    refused: int
    dropped: dict[str, int]
    latency_p50_s: float | None
    latency_p95_s: float | None
    trouble: str


class HealthOut(BaseModel):
    """`well` is what systemd hears; `problem` is what is wrong with the site's file, which goes on by what it said before."""

    well: bool
    troubles: list[str]
    problem: str
    unwritten_events: int
    lost_events: int
    free_bytes: int
    uptime_s: float
    channels: list[ChannelOut]


class ConfigIn(BaseModel):
    """The whole text of a site's file."""

    text: str = Field(max_length=1 << 20)


class Kept(BaseModel):
    """Whether an event and its files stay, whatever their age."""

    kept: bool
