"""What a source is doing, as a value and pure functions over it: the clock and the dice are arguments, so tests own both.

connecting ──frame──▶ running ──no frame──▶ stalled ──still none──▶ lost ──delay over──▶ connecting …
                         └──────────────end of the recording──────────────▶ ended
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["connecting", "running", "stalled", "lost", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long silence is borne, and how long the pauses between two tries are, in seconds."""

    stall_s: float = 5.0
    """Without a frame a source counts as stalled."""
    lose_s: float = 10.0
    """Without a frame it counts as lost and is opened anew."""
    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    jitter: float = 0.25
    """Delays are up to this share longer or shorter: cameras behind one switch do not all come back in one instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A source's state; times are of one monotonic clock. `failures` counts tries since the last frame."""

    state: State = "connecting"
    since_s: float = 0.0
    last_frame_s: float | None = None
    retry_s: float = 0.0
    failures: int = 0
    losses: int = 0
    reason: str = ""


def opened(now_s: float) -> Link:
    """A source that begins to connect."""
    return Link(since_s=now_s)


def with_frame(link: Link, now_s: float) -> Link:
    """A frame came: running, whatever it was before, and nothing is held against it."""
    if link.state == "running":
        return replace(link, last_frame_s=now_s)
    return replace(link, state="running", since_s=now_s, last_frame_s=now_s, failures=0, reason="")


def checked(link: Link, now_s: float, patience: Patience, dice: float) -> Link:
    """The state after looking at the clock; `dice` in 0..1. A clock that jumped back only begins the count again."""
    if link.state == "lost":
        return replace(link, state="connecting", since_s=now_s) if now_s >= link.retry_s else link
    if link.state == "ended":
        return link
    silent_since = link.since_s if link.last_frame_s is None or link.state == "connecting" else link.last_frame_s
    silence = max(now_s - silent_since, 0.0)
    if silence >= patience.lose_s:
        return failed(link, now_s, patience, dice, f"no frame for {silence:.0f} s")
    if silence >= patience.stall_s and link.state == "running":
        return replace(link, state="stalled", since_s=now_s, reason=f"no frame for {silence:.0f} s")
    return link


def failed(link: Link, now_s: float, patience: Patience, dice: float, reason: str) -> Link:
    """The source broke: lost until `retry_s`, the pause doubling with every failure."""
    delay = delay_s(link.failures, patience, dice)
    return replace(
        link,
        state="lost",
        since_s=now_s,
        retry_s=now_s + delay,
        failures=link.failures + 1,
        losses=link.losses + (link.last_frame_s is not None and link.state in ("running", "stalled")),
        reason=reason,
    )


def ended(link: Link, now_s: float, reason: str = "") -> Link:
    """A recording came to its end, or never began for that reason."""
    return replace(link, state="ended", since_s=now_s, reason=reason)


def delay_s(failures: int, patience: Patience, dice: float) -> float:
    """The pause before the next try: doubling from `first_delay_s` to `longest_delay_s`, moved by the jitter."""
    plain: float = min(patience.first_delay_s * 2 ** min(failures, 30), patience.longest_delay_s)
    return plain * (1 + patience.jitter * (2 * dice - 1))
