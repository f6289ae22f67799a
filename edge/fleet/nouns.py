"""What is said between operators, the server and the boards, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edgekit.core.schema import Value
from edgekit.deploy.nouns import Proposal

Phase = Literal["running", "paused", "returning", "returned", "finishing", "done"]
Verdict = Literal["", "ok", "taken back", "refused", "failed"]


class Order(Value, frozen=True, kw_only=True):
    """What a board is to run. `serial` grows with every order of a fleet: a board obeys none that is older than its last.

    With `leave` instead of a proposal it goes back to what it ran before that release, and does nothing when it does not run it.
    """

    fleet: str
    group: str
    serial: int
    proposal: Proposal | None = None
    leave: str = ""
    bench_s: float = 0.0
    """How long the artifact is measured on the board, before and after the switch; 0: not at all."""


class Sealed(Value, frozen=True, kw_only=True):
    """An order as bytes that were signed: `text` is the order's JSON, `signature` what minisign would write beside it."""

    text: str
    signature: str = ""


class Member(Value, frozen=True, kw_only=True):
    """A board of the fleet, as it was enrolled."""

    device: str
    group: str
    public_key: str
    profile: str = ""


class Report(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A board as it sees itself: what runs there, what became of its newest order, and its readings."""

    device: str
    group: str
    release: str
    app: str = ""
    artifact: str = ""
    active: bool = False
    profile: str = ""
    edgekit: str = ""
    doing: str = ""
    order: int = 0
    """The serial of the order that `verdict` is about."""
    verdict: Verdict = ""
    message: str = ""
    refused: str = ""
    """The digest of the newest wish, when it was not even begun; `message` says why."""
    metrics: Mapping[str, float] = {}
    before: Mapping[str, float] = {}
    """The readings just before the order was carried out."""
    waiting: int = 0
    """Readings and events that have not reached the server."""
    dropped: int = 0
    """Readings that were given up for want of room, ever."""


class Gate(Value, frozen=True, kw_only=True):
    """A reading that must hold after an order: `metric` at most or at least `limit`, or `limit` times what it was before."""

    metric: str
    most: bool
    limit: float
    relative: bool = False


class Plan(Value, frozen=True, kw_only=True):
    """How a rollout goes on: shares of the group (the last is 1), how long each wave is watched, and when it is too many."""

    waves: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    soak_s: float = 120.0
    """How long boards are watched before their gates are asked: longer than a heartbeat, so that readings are of the new release."""
    deadline_s: float = 1800.0
    """A board that was heard in the wave must have answered by then."""
    absent_s: float = 180.0
    """A board that was not heard for so long in the wave is left for later: it gets the order when it comes back."""
    max_failed: float = 0.02
    """Share of the boards that have the order so far which may fail."""
    gates: tuple[Gate, ...] = ()


class Rollout(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A group's newest rollout, whole: any operator's machine can go on from it."""

    group: str
    serial: int
    name: str
    release: str
    order: Sealed
    back: Sealed
    plan: Plan
    by: str
    phase: Phase = "running"
    wave: int = 0
    failed: tuple[str, ...] = ()
    reason: str = ""


class Deed(Value, frozen=True, kw_only=True):
    """A line of the audit log. Its time and its author are the server's, not this text's."""

    verb: str
    about: str
    detail: str = ""
