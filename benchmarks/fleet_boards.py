"""The boards of the simulated fleet: one process with its share of edgekit's own agents, each on a board that is pretended.

    python benchmarks/fleet_boards.py ORDERS.json ANSWERS.json

`benchmarks/fleet.py` starts several. Each ends on SIGTERM and writes down how its boards ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgekit.fleet.agent.agent import Agent
from edgekit.fleet.agent.spool import Kind, Spool
from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.tasks import end
from edgekit.fleet.trust.authority import Access

HEARTBEAT_S = 30.0
LAST_WORDS_S = 60.0
KINDS: tuple[Kind, ...] = ("event", "reading")


def pretended(bad: str) -> Pretended:
    """A board on which the second release fails or is slow; the one called broken fails everywhere."""
    return Pretended(sick=("broken", "second") if bad == "sick" else ("broken",), slow=("second",) if bad == "slow" else ())


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
    place: Pretended
    spool: Counted

    @classmethod
    def ordered(cls, access: Access, bad: str) -> Board:
        place, spool = pretended(bad), Counted()
        return cls(
            agent=Agent(access, place, spool, tuple, heartbeat_s=HEARTBEAT_S, look_again_s=300), place=place, spool=spool
        )

    def ending(self) -> dict[str, Any]:
        """How it ended."""
        return {
            "device": self.agent.access.name,
            "running": self.place.running,
            "history": self.place.history,
            "half": self.place.under_way,
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
