"""What is said between whoever deploys and the board: releases, orders and answers, as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.core.schema import Value


class Health(Value, frozen=True, kw_only=True):
    """How a release shows that it works: its service stays up for `settle_s`, and `url` answers 200, both by the deadline."""

    url: str = ""
    """An http address on the board itself; empty: the service alone counts."""
    settle_s: float = 5.0
    deadline_s: float = 90.0


class Release(Value, frozen=True, kw_only=True):
    """What runs on a board: an app, its arguments, its artifact by the hash of its manifest. `release.json` holds it."""

    app: str
    artifact: str
    arguments: tuple[str, ...] = ()
    health: Health = Health()


class Part(Value, frozen=True, kw_only=True):
    """One file of an artifact."""

    name: str
    sha256: str
    bytes: int


class Proposal(Value, frozen=True, kw_only=True):
    """A release with the files of its artifact, manifest and signature included."""

    release: Release
    parts: tuple[Part, ...]
    engines: tuple[str, ...] = ()
    """Runtimes that can run the artifact, the first choice first; empty: whoever proposes it does not say."""


class Lacking(Value, frozen=True, kw_only=True):
    """A file that the board wants, and how much of it an earlier try has left there."""

    sha256: str
    have: int


class Going(Value, frozen=True, kw_only=True):
    """Back to a release by name; without one, to the one before."""

    to: str = ""


class Answer(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What the board says to an order: `release` runs now."""

    ok: bool
    message: str
    release: str = ""
    previous: str = ""
    rolled_back: bool = False


class Status(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The board, as `edgekit status` shows it."""

    release: str
    app: str
    artifact: str
    artifact_name: str
    signed_by: str
    active: bool
    releases: tuple[str, ...]
    free_bytes: int
    memory_bytes: int
    python: str
    edgekit: str
    device: str
    problems: tuple[str, ...] = ()


class Offer(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What the board says to a proposal: how it is, what it lacks, and whether this release runs there already."""

    status: Status
    lacking: tuple[Lacking, ...]
    runs: bool


class State(Value, frozen=True, kw_only=True):
    """`state.json` of the board: what must outlive a power cut."""

    previous: str = ""
    pending: str = ""
    """A release that was switched to and has not yet shown that it works."""
    earlier: str = ""
    """What `previous` was before the pending switch, and is again when that is taken back."""
    accepted: Mapping[str, int] = {}
    """By artifact name, the newest signed release that was ever accepted here: nothing older comes back by deploying."""
