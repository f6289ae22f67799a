"""A board that is pretended: it hashes what arrives and forgets it. A fleet is tried with as many as a machine holds.

Everything above it, the agent and the wire, is the real thing; it has the same order of calls as `place.Board`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.core.errors import DeviceError
from edgekit.deploy.board.layout import name_of
from edgekit.deploy.nouns import Answer, Lacking, Offer, Part, Proposal, Status


@dataclass(slots=True)
class Pretended:
    """Releases whose app is in `sick` are taken back, as a failed health check does; those in `slow` only measure badly."""

    sick: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    running: str = ""
    app: str = ""
    previous: str = ""
    history: list[str] = field(default_factory=list)
    """Every release that was switched to."""
    received: int = 0
    """Bytes."""
    blobs: set[str] = field(default_factory=set)
    """Hashes of the files that are whole."""
    apps: dict[str, str] = field(default_factory=dict)
    """The app of every release that came."""
    _half: dict[str, dict[int, hashlib._Hash]] = field(default_factory=dict)
    """Of a file under way, its hash after every piece."""

    @property
    def under_way(self) -> int:
        """Files that have begun to arrive and are not whole."""
        return len(self._half)

    def settle(self) -> Answer:
        """A switch here is never interrupted."""
        return Answer(ok=True, message="nothing is pending", release=self.running)

    def status(self) -> Status:
        """The release that runs; a board of no profile."""
        return Status(
            release=self.running,
            app=self.app,
            artifact="",
            artifact_name="",
            signed_by="",
            active=bool(self.running),
            releases=(),
            free_bytes=1,
            memory_bytes=1,
            python="3",
            edgekit="0",
            device="",
        )

    def offer(self, proposal: Proposal) -> Offer:
        """What it lacks."""
        parts = [part for part in proposal.parts if part.sha256 not in self.blobs]
        lacking = tuple(Lacking(sha256=part.sha256, have=max(self._half.get(part.sha256, (0,)))) for part in parts)
        return Offer(status=self.status(), lacking=lacking, runs=False)

    def begin(self, part: Part, offset: int) -> None:
        """Raises `DeviceError` for an offset at which no piece ended: a hash cannot be cut there."""
        states = {at: state for at, state in self._half.get(part.sha256, {}).items() if at <= offset} or {0: hashlib.sha256()}
        if max(states) != offset:
            raise DeviceError(f"{part.name} goes on at byte {offset}, here a piece ended at {max(states)}")
        self._half[part.sha256] = states

    def append(self, part: Part, data: bytes) -> None:
        """Hash a piece."""
        states = self._half[part.sha256]
        digest = states[max(states)].copy()
        digest.update(data)
        states[max(states) + len(data)] = digest
        self.received += len(data)

    def complete(self, part: Part) -> None:
        """Raises `DeviceError` when what arrived does not have the file's hash."""
        states = self._half.pop(part.sha256)
        if states[max(states)].hexdigest() != part.sha256:
            raise DeviceError(f"what arrived is not {part.name}")
        self.blobs.add(part.sha256)

    def deploy(self, proposal: Proposal) -> Answer:
        """Switch, or say that it did not work."""
        name, app = name_of(proposal.release), proposal.release.app
        self.apps[name] = app
        if app in self.sick:
            return Answer(ok=False, message=f"{name} did not work", release=self.running, rolled_back=True)
        if name != self.running:
            self._switch(name)
        return Answer(ok=True, message="runs", release=name, previous=self.previous)

    def leave(self, release: str) -> Answer:
        """Back, if that release runs."""
        if self.running == release:
            self._switch(self.previous)
        return Answer(ok=True, message="went back", release=self.running)

    def readings(self) -> Mapping[str, float]:
        """What a healthy or a slow board would measure."""
        fps = 5.0 if self.app in self.slow else 25.0
        return {"fps": fps, "temperature_c": 50.0, "load": 0.4, "free_memory_bytes": 9e8, "restarts": 0.0}

    def latency_ms(self, duration_s: float) -> float | None:
        """As if it had been measured."""
        return 40.0 if self.app in self.slow else 10.0

    def _switch(self, name: str) -> None:
        self.previous, self.running, self.app = self.running, name, self.apps.get(name, "")
        self.history.append(name)
