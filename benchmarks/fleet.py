"""A thousand simulated boards on one real NATS server: enrolled, a 10 MB release in waves, 1 % bad, the server killed in the middle.

The agents are edgekit's own and speak the real protocol; only the board beneath each is pretended (it hashes what it downloads and keeps
nothing). Bad boards are of two kinds: their health check fails, or their pictures per second drop after the switch.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from common import conditions, write
from fleet_boards import HEARTBEAT_S

from edgekit import artifact as artifacts
from edgekit.commands._fleet_owner import prepared
from edgekit.core.schema import Artifact
from edgekit.deploy.nouns import Release
from edgekit.deploy.push import proposal_of
from edgekit.fleet.nouns import Member, Plan, Rollout
from edgekit.fleet.rollout.drive import Driver, Wish, begin
from edgekit.fleet.rollout.mirror import Mirror
from edgekit.fleet.rollout.steps import gate
from edgekit.fleet.server import subjects
from edgekit.fleet.server.configuration import Listening
from edgekit.fleet.trust.authority import Authority, founded
from edgekit.fleet.wire.bus import Bus, connected
from edgekit.models import digits

GROUP = "cameras"
BOARDS = Path(__file__).with_name("fleet_boards.py")
PAYLOAD_BYTES = 10_000_000
SOAK_S = HEARTBEAT_S + 5
WAVES = (0.02, 0.2, 0.6, 1.0)
TRIAL_BELOW = 100
"""With so few boards nothing is written down, and a bad one may be a whole wave: the good release is not halted for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is simulated: so many boards, of which `bad` are, in so many processes; idle and soak times in seconds."""

    boards: int
    workers: int
    idle_s: float
    soak_s: float

    @property
    def bad(self) -> dict[int, str]:
        """The numbers of the bad boards, and how they are."""
        chosen = random.Random(7).sample(range(self.boards), max(2, self.boards // 100))
        return {number: "sick" if place % 2 else "slow" for place, number in enumerate(chosen)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The processes that the boards run in, and where each writes how they ended."""

    processes: tuple[tuple[subprocess.Popen[bytes], Path], ...]

    @classmethod
    def started(cls, folder: Path, orders: list[dict[str, object]], count: int) -> Workers:
        found = []
        for number in range(count):
            paths = folder / f"orders-{number}.json", folder / f"answers-{number}.json"
            paths[0].write_text(json.dumps(orders[number::count]))
            found.append((subprocess.Popen([sys.executable, str(BOARDS), *map(str, paths)]), paths[1]))
        return cls(processes=tuple(found))

    async def ended(self) -> list[dict[str, Any]]:
        """What each wrote, once it was asked to end."""
        for process, _ in self.processes:
            process.send_signal(signal.SIGTERM)
        for process, _ in self.processes:
            await asyncio.to_thread(process.wait, 120)
        return [json.loads(path.read_text()) for _, path in self.processes]

    def kill(self) -> None:
        for process, _ in self.processes:
            process.kill()


@dataclass
class Machine:
    """The server, and what it cost over its lives."""

    authority: Authority
    port: int
    monitor: int
    process: subprocess.Popen[bytes] | None = None
    spent: Counter[str] = field(default_factory=Counter)
    peak_rss: int = 0

    def start(self) -> None:
        program = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin") or sys.exit("nats-server is not here")
        self.process = subprocess.Popen(
            [program, "-c", str(self.authority.folder / "nats-server.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for port in (self.port, self.monitor):
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)

    def kill(self) -> None:
        self.spent = self.used()
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def used(self) -> Counter[str]:
        """Bytes, messages and CPU since the beginning."""
        assert self.process is not None
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/varz") as answer:
            said = json.load(answer)
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        self.peak_rss = max(self.peak_rss, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
        now = Counter({name: said[name] for name in ("in_bytes", "out_bytes", "in_msgs", "out_msgs")})
        now["cpu_ms"] = (int(ticks[11]) + int(ticks[12])) * 1000 // os.sysconf("SC_CLK_TCK")
        return Counter({name: now[name] + self.spent[name] for name in now})


def sized(folder: Path, name: str, size: int) -> Artifact:
    """A shipped artifact with one more file of this size: what a rollout carries."""
    place = shutil.copytree(next(path for path in digits.artifacts() if path.name.endswith("int8")), folder / name)
    data = random.Random(name).randbytes(size)
    manifest = artifacts.read(place).manifest
    (place / "weights.bin").write_bytes(data)
    files = {file.name: place / file.name for file in manifest.files} | {"weights.bin": data}
    roles = {file.name: file.role for file in manifest.files} | {"weights.bin": manifest.files[0].role}
    described = artifacts.described(files, roles)
    (place / "manifest.json").write_bytes(artifacts.encode(msgspec.structs.replace(manifest, name=name, files=described)))
    return artifacts.read(place)


async def enrolled(authority: Authority, boards: int, bad: Mapping[int, str]) -> list[dict[str, object]]:
    """Credentials for all, and every board a member."""
    found: list[dict[str, object]] = []
    async with connected(authority.access("owner", "owner")[0]) as owner:
        for number in range(boards):
            name = f"cam-{number:05d}"
            access, public = authority.access(name, "board", group=GROUP)
            member = Member(device=name, group=GROUP, public_key=public)
            await owner.put(subjects.MEMBERS, name, msgspec.json.encode(member))
            found.append({"access": msgspec.to_builtins(access), "bad": bad.get(number, "")})
    return found


async def rolled_out(
    bus: Bus, artifact: Artifact, app: str, story: Story, restart: Machine | None = None
) -> tuple[Rollout, float]:
    """One rollout, driven to its end; with `restart` the server is killed while the third wave downloads."""
    share = 1.0 if restart and story.boards < TRIAL_BELOW else 0.05
    plan = Plan(waves=WAVES, soak_s=story.soak_s, deadline_s=900, absent_s=120, max_failed=share, gates=(gate("fps>=20"),))
    proposal = proposal_of(artifact, Release(app=app, artifact=artifact.sha256))
    began = time.monotonic()
    await begin(bus, Wish(group=GROUP, proposal=proposal, name=app, plan=plan), artifact, None)
    killed = restart is None

    def say(rollout: Rollout, now: object) -> None:
        nonlocal killed
        ok = len(now.ok)  # type: ignore[attr-defined]
        sys.stderr.write(f"\r{app}: wave {rollout.wave + 1}, {ok} ok, {len(rollout.failed)} failed  ")
        if not killed and rollout.wave == 2 and ok > 0.3 * story.boards:
            killed = True
            asyncio.get_running_loop().create_task(_restarted(restart))

    ended = await Driver(bus, GROUP, Mirror(bus), say).run()
    assert killed, "the server was never killed"
    return ended, time.monotonic() - began


async def _restarted(machine: Machine | None) -> None:
    assert machine is not None
    await asyncio.to_thread(machine.kill)
    await asyncio.sleep(3)
    await asyncio.to_thread(machine.start)


async def counted(bus: Bus, stream: str, pattern: str) -> dict[str, set[int]]:
    """The numbers of the lines that the server has of each board."""
    found: dict[str, set[int]] = {}
    for entry in await bus.history(pattern, stream):
        lines = [json.loads(line)["n"] for line in entry.value.splitlines()]
        found.setdefault(entry.key.rpartition(".")[2], set()).update(lines)
    return found


async def simulated(folder: Path, story: Story) -> dict[str, object]:
    """The whole story."""
    free = [_free_port() for _ in range(3)]
    listening = Listening(
        store=folder / "store", host="127.0.0.1", port=free[0], mqtt_port=free[1], leaf_port=0, monitor_port=free[2]
    )
    authority = founded(folder / "fleet", "simulated", f"nats://127.0.0.1:{free[0]}", listening, "ada")
    machine = Machine(authority, free[0], free[2])
    machine.start()
    await prepared(authority)
    began = time.monotonic()
    orders = await enrolled(authority, story.boards, story.bad)
    enrolled_s = time.monotonic() - began
    workers = Workers.started(folder, orders, story.workers)
    try:
        told = await _told(folder, authority, machine, workers, story)
    finally:
        workers.kill()
        if machine.process:
            machine.process.kill()
    disk = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
    server = {"peak_rss_bytes": machine.peak_rss, **told.pop("server"), "disk_bytes": disk}
    about = {
        "boards": story.boards,
        "payload_bytes": told.pop("payload_bytes"),
        "waves": list(WAVES),
        "heartbeat_s": HEARTBEAT_S,
    }
    return {"conditions": conditions(), **about, "enrolled_s": round(enrolled_s, 1), **told, "server": server}


async def _told(folder: Path, authority: Authority, machine: Machine, workers: Workers, story: Story) -> dict[str, Any]:
    """A first release, silence, a large release in which the server dies, a release that fails everywhere; then the accounts."""
    small, large, broken = sized(folder, "first", 1000), sized(folder, "second", PAYLOAD_BYTES), sized(folder, "broken", 1000)
    async with connected(authority.access("ada", "operator")[0]) as bus:
        await _all_reported(bus, story.boards)
        first, _ = await rolled_out(bus, small, "first", story)
        idle = await _idle(machine, story)
        before = machine.used()
        second, took_s = await rolled_out(bus, large, "second", story, machine)
        cost = machine.used() - before
        third, halted_s = await rolled_out(bus, broken, "broken", story)
        answers = await workers.ended()
        events = await counted(bus, subjects.EVENTS, "edgekit.events.*")
        readings = await counted(bus, subjects.TELEMETRY, "edgekit.telemetry.*")
    ended = [agent for answer in answers for agent in answer["agents"]]
    rollout = {"phase": second.phase, "seconds": round(took_s, 1), "failed": len(second.failed), "bad": len(story.bad)}
    per_board = {name: round(value / story.boards, 1) for name, value in cost.items()}
    return {
        "payload_bytes": sum(file.bytes for file in large.manifest.files),
        "rollout": rollout,
        "bad_release": {"phase": third.phase, "seconds": round(halted_s, 1), "reason": third.reason[:60]},
        **_judged(ended, events, readings, first, second, story.bad),
        "server": {"idle_per_board_and_hour": idle, "rollout_per_board": per_board},
        "agents_cpu_s": round(sum(answer["cpu_s"] for answer in answers), 1),
    }


async def _all_reported(bus: Bus, boards: int) -> None:
    mirror = Mirror(bus)
    while len(mirror.reports) < boards:
        await mirror.look()
        await asyncio.sleep(1)


async def _idle(machine: Machine, story: Story) -> dict[str, float]:
    """What a board costs the server in an hour in which nothing happens."""
    before, start = machine.used(), time.monotonic()
    await asyncio.sleep(story.idle_s)
    spent, took_s = machine.used() - before, time.monotonic() - start
    return {name: round(value / story.boards * 3600 / took_s, 1) for name, value in spent.items()}


def _judged(ended: Any, events: Any, readings: Any, first: Any, second: Any, bad: Mapping[int, str]) -> dict[str, object]:
    """What must hold; anything that does not ends the run."""
    ill = {f"cam-{number:05d}" for number in bad}
    wrong = [agent["device"] for agent in ended if agent["running"] != (first if agent["device"] in ill else second).release]
    return {
        "on_the_wrong_release": len(wrong),
        "between_releases": sum(bool(agent["half"]) for agent in ended),
        "boards_that_lost_events": sum(_lost(agent, "event", events) != 0 for agent in ended),
        "readings_lost": sum(_lost(agent, "reading", readings) - agent["dropped"] for agent in ended),
        "bad_found": len(ill & set(second.failed)),
        "good_called_bad": len(set(second.failed) - ill),
        "events": sum(map(len, events.values())),
        "readings": sum(map(len, readings.values())),
        "downloaded_bytes_per_board": round(sum(agent["received"] for agent in ended) / len(ended)),
    }


def _lost(agent: Any, kind: str, arrived: Mapping[str, set[int]]) -> int:
    """How many lines a board said that neither reached the server nor wait on the board."""
    held = arrived.get(agent["device"], set()) | set(agent["waiting"][kind])
    return int(agent["said"].get(kind, 0)) - len(held)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--idle", type=float, default=90.0, metavar="S")
    parser.add_argument("--soak", type=float, default=SOAK_S, metavar="S")
    args = parser.parse_args()
    story = Story(boards=args.boards, workers=args.workers, idle_s=args.idle, soak_s=args.soak)
    with tempfile.TemporaryDirectory(prefix="edgekit-fleet-") as folder:
        found = asyncio.run(simulated(Path(folder), story))
    if args.boards >= TRIAL_BELOW:
        write("fleet", found)
    else:
        print(json.dumps(found, indent=2))  # a trial


if __name__ == "__main__":
    main()
