"""The board as the agent sees it: the same code that `edgekit deploy` drives over ssh, called here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Protocol

from edgekit.core.errors import EdgekitError
from edgekit.deploy.board import condition, receiving, service, switching
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.nouns import Answer, Offer, Part, Proposal, Status
from edgekit.fleet.board.readings import figures, sensors
from edgekit.signing.minisign import PublicKey
from edgekit.signing.sign import public_keys


class Place(Protocol):
    """What the agent needs of a board. Every call may be cut off and made again."""

    def settle(self) -> Answer: ...
    def status(self) -> Status: ...
    def offer(self, proposal: Proposal) -> Offer: ...
    def begin(self, part: Part, offset: int) -> None: ...
    def append(self, part: Part, data: bytes) -> None: ...
    def complete(self, part: Part) -> None: ...
    def deploy(self, proposal: Proposal) -> Answer: ...
    def leave(self, release: str) -> Answer: ...
    def readings(self) -> Mapping[str, float]: ...
    def latency_ms(self, duration_s: float) -> float | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """This very board. `figures_url` is where its app says how it does, in Prometheus' words; `token` is shown there."""

    layout: Layout = field(default_factory=Layout)
    figures_url: str = ""
    token: str = ""

    def settle(self) -> Answer:
        """End a switch that a power cut interrupted."""
        with self.layout.locked():
            return switching.settle(self.layout)

    def status(self) -> Status:
        """The board as it is; whether its files are still whole is asked when something is to change."""
        return condition.status(self.layout, check_hashes=False)

    def offer(self, proposal: Proposal) -> Offer:
        """How the board is, and what it lacks."""
        with self.layout.locked():
            return receiving.offer(self.layout, proposal)

    def begin(self, part: Part, offset: int) -> None:
        """A file is downloaded from `offset` on; what was there behind it is cut off."""
        with self.layout.locked():
            receiving.grow(self.layout, part.sha256, offset, BytesIO())

    def append(self, part: Part, data: bytes) -> None:
        """The next piece of a file."""
        with self.layout.partial(part.sha256).open("ab") as file:
            file.write(data)

    def complete(self, part: Part) -> None:
        """The file is whole. Raises `DeviceError` when it does not have its hash; it is gone then."""
        with self.layout.locked():
            self.layout.complete(part.sha256)

    def deploy(self, proposal: Proposal) -> Answer:
        """Prove, switch, judge, and take back."""
        with self.layout.locked():
            return switching.deploy(self.layout, proposal)

    def leave(self, release: str) -> Answer:
        """Back to what ran before `release`; nothing when that does not run."""
        with self.layout.locked():
            switching.settle(self.layout)
            running = self.layout.running()
            if running != release:
                return Answer(ok=True, message="does not run here: nothing to leave", release=running)
            return switching.rollback(self.layout)

    def readings(self) -> Mapping[str, float]:
        """What the board and its app measure now."""
        restarts = service.restarts()
        again = {"restarts": float(restarts)} if restarts.isdigit() else {}
        return {**sensors(self.layout.root), **again, **figures(self.figures_url, self.token)}

    def latency_ms(self, duration_s: float) -> float | None:
        """The median of the running artifact on this board, measured in a process of its own; None when it does not run."""
        from edgekit.benchmark import bench

        name = self.layout.running()
        if not name:
            return None
        with suppress(EdgekitError):  # one that cannot be measured was proven all the same
            report = bench(self.layout.releases / name / "artifact", duration_s=duration_s, restarts=1)
            return report.results[0].summary.restart_medians_ms[0]
        return None


def spool_path(root: Path) -> Path:
    """Where the agent's queue lies."""
    return root / "fleet.db"


def trusted(layout: Layout) -> tuple[PublicKey, ...]:
    """The public keys that the board trusts now; none at all means that signatures are not asked for."""
    return public_keys((layout.trusted,)) if layout.trusts_keys() else ()
