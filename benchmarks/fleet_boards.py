"""The boards of the simulated fleet: one process with its share of edgekit's own agents, each on a board that is pretended.

    python benchmarks/fleet_boards.py ORDERS.json ANSWERS.json

`benchmarks/fleet.py` starts several. Each ends on SIGTERM and writes down how its boards ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edgekit.deploy.layout import name_of
from edgekit.deploy.nouns import Answer, Lacking, Offer, Part, Proposal, Status
from edgekit.fleet.agent import Agent
from edgekit.fleet.authority import Access
from edgekit.fleet.spool import Kind, Spool
from edgekit.fleet.tasks import end

HEARTBEAT_S = 30.0
LAST_WORDS_S = 60.0
KINDS: tuple[Kind, ...] = ("event", "reading")


@dataclass
class Simulated:
    """A board that hashes what arrives and forgets it."""

    bad: str
    running: str = ""
    app: str = ""
    previous: str = ""
    history: list[str] = field(default_factory=list)
    blobs: set[str] = field(default_factory=set)
    half: dict[str, dict[int, hashlib._Hash]] = field(default_factory=dict)
    """Of a file under way, its hash after every piece."""
    received: int = 0

    def settle(self) -> Answer:
        return Answer(ok=True, message="nothing is pending")

    def status(self) -> Status:
        return Status(
            release=self.running,
            app=self.app,
            artifact="",
            artifact_name="",
            signed_by="",
            active=True,
            releases=(),
            free_bytes=1,
            memory_bytes=1,
            device="",
            python="3",
            edgekit="0",
        )

    def offer(self, proposal: Proposal) -> Offer:
        parts = [part for part in proposal.parts if part.sha256 not in self.blobs]
        lacking = tuple(Lacking(sha256=part.sha256, have=max(self.half.get(part.sha256, (0,)))) for part in parts)
        return Offer(status=self.status(), lacking=lacking, runs=False)

    def begin(self, part: Part, offset: int) -> None:
        states = self.half.get(part.sha256, {})
        self.half[part.sha256] = {at: states[at] for at in states if at <= offset} or {0: hashlib.sha256()}
        assert offset == max(self.half[part.sha256]), "a download goes on at the end of a piece"

    def append(self, part: Part, data: bytes) -> None:
        states = self.half[part.sha256]
        digest = states[max(states)].copy()
        digest.update(data)
        states[max(states) + len(data)] = digest
        self.received += len(data)

    def complete(self, part: Part) -> None:
        states = self.half.pop(part.sha256)
        assert states[max(states)].hexdigest() == part.sha256, "damaged"
        self.blobs.add(part.sha256)

    def deploy(self, proposal: Proposal) -> Answer:
        name, app = name_of(proposal.release), proposal.release.app
        if app == "broken" or (app == "second" and self.bad == "sick"):
            return Answer(ok=False, message="/health answers 503", release=self.running, rolled_back=True)
        if name != self.running:
            self._switch(name, app)
        return Answer(ok=True, message="runs", release=name, previous=self.previous)

    def leave(self, release: str) -> Answer:
        if self.running == release:
            self._switch(self.previous, "first")
        return Answer(ok=True, message="went back", release=self.running)

    def readings(self) -> Mapping[str, float]:
        slow = self.bad == "slow" and self.app == "second"
        return {"fps": 6.0 if slow else 25.0, "temperature_c": 51.5, "load": 0.4, "free_memory_bytes": 9e8, "restarts": 0.0}

    def latency_ms(self, duration_s: float) -> float | None:
        return 12.0

    def _switch(self, name: str, app: str) -> None:
        self.previous, self.running, self.app = self.running, name, app
        self.history.append(name)


class Counted(Spool):
    """A spool that counts what was put in."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.said: Counter[str] = Counter()

    def say(self, kind: Kind, what: Mapping[str, object]) -> None:
        self.said[kind] += 1
        super().say(kind, what)

    def numbers(self, kind: Kind) -> list[int]:
        """The numbers of the lines that wait: one whose answer never came waits here and is on the server, too."""
        batch = self.next_batch(kind)
        found = [json.loads(line)["n"] for line in batch.data.splitlines()] if batch else []
        assert len(found) == self.waiting(kind), "more waits than one batch holds"
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """An agent, and what it stands on."""

    agent: Agent
    place: Simulated
    spool: Counted

    @classmethod
    def ordered(cls, access: Access, bad: str) -> Board:
        place, spool = Simulated(bad), Counted()
        return cls(
            agent=Agent(access, place, spool, tuple, heartbeat_s=HEARTBEAT_S, look_again_s=300), place=place, spool=spool
        )

    def ending(self) -> dict[str, Any]:
        """How it ended."""
        return {
            "device": self.agent.access.name,
            "running": self.place.running,
            "history": self.place.history,
            "half": len(self.place.half),
            "received": self.place.received,
            "said": dict(self.spool.said),
            "waiting": {kind: self.spool.numbers(kind) for kind in KINDS},
            "dropped": self.spool.dropped(),
        }


async def work(orders: Path, answers: Path) -> None:
    """Run the agents until SIGTERM, let them finish talking, and write down how they ended."""
    boards = [Board.ordered(msgspec.convert(each["access"], Access), each["bad"]) for each in json.loads(orders.read_text())]
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = []
    for board in boards:
        tasks.append(asyncio.create_task(board.agent.run()))
        await asyncio.sleep(0.01)
    await stop.wait()
    for board in boards:
        board.agent.heartbeat_s = 2.0  # so that all speak once more
    deadline = time.monotonic() + LAST_WORDS_S
    while any(board.spool.waiting("event") for board in boards) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    await end(tasks)
    answers.write_text(json.dumps({"agents": [board.ending() for board in boards], "cpu_s": sum(os.times()[:2])}))


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2])))
