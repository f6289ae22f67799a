"""A thousand simulated boards on one real NATS server: enrolled, a 10 MB release in waves, 1 % bad, the server killed in the middle.

The agents are edgekit's own and speak the real protocol; only the board beneath each is pretended (it hashes what it downloads and keeps
nothing). Bad boards are of two kinds: their health check fails, or their pictures per second drop after the switch.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from common import conditions, write

from edgekit import artifact as artifacts
from edgekit.commands._fleet_owner import prepared
from edgekit.core.schema import Artifact
from edgekit.deploy.layout import name_of
from edgekit.deploy.nouns import Answer, Lacking, Offer, Part, Proposal, Release, Status
from edgekit.deploy.push import proposal_of
from edgekit.fleet import subjects
from edgekit.fleet.agent import Agent
from edgekit.fleet.authority import Access, Authority, founded
from edgekit.fleet.bus import Bus, connected
from edgekit.fleet.drive import Driver, Wish, begin
from edgekit.fleet.mirror import Mirror
from edgekit.fleet.nouns import Member, Plan, Rollout
from edgekit.fleet.rollout import gate
from edgekit.fleet.server import Listening
from edgekit.fleet.spool import Spool
from edgekit.fleet.tasks import end
from edgekit.models import digits

GROUP = "cameras"
HEARTBEAT_S = 30.0
PAYLOAD_BYTES = 10_000_000
SOAK_S = HEARTBEAT_S + 5
WAVES = (0.02, 0.2, 0.6, 1.0)


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

    said_counts: Counter[str]

    def say(self, kind: str, what: Mapping[str, object]) -> None:
        self.__dict__.setdefault("said_counts", Counter())[kind] += 1
        super().say(kind, what)  # type: ignore[arg-type]


async def work(orders: Path, answers: Path) -> None:
    """A process with its share of the agents; on SIGTERM it lets them finish talking, and writes down how they ended."""
    made = json.loads(orders.read_text())
    agents = []
    for each in made:
        access = msgspec.convert(each["access"], Access)
        agents.append(
            Agent(access, Simulated(each["bad"]), Counted(":memory:"), tuple, heartbeat_s=HEARTBEAT_S, look_again_s=300)
        )
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = []
    for agent in agents:
        tasks.append(asyncio.create_task(agent.run()))
        await asyncio.sleep(0.01)
    await stop.wait()
    for agent in agents:
        agent.heartbeat_s = 2.0  # so that all speak once more
    deadline = time.monotonic() + 60
    while any(agent.spool.waiting("event") for agent in agents) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    await end(tasks)
    found = [
        {
            "device": agent.access.name,
            "running": agent.place.running,  # type: ignore[attr-defined]
            "history": agent.place.history,  # type: ignore[attr-defined]
            "half": len(agent.place.half),  # type: ignore[attr-defined]
            "received": agent.place.received,  # type: ignore[attr-defined]
            "said": dict(agent.spool.__dict__.get("said_counts", {})),
            "waiting": agent.spool.waiting(),
            "dropped": agent.spool.dropped(),
        }
        for agent in agents
    ]
    answers.write_text(json.dumps({"agents": found, "cpu_s": sum(os.times()[:2])}))


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
    bus: Bus, artifact: Artifact, app: str, boards: int, restart: Machine | None = None
) -> tuple[Rollout, float]:
    """One rollout, driven to its end; with `restart` the server is killed while the third wave downloads."""
    plan = Plan(waves=WAVES, soak_s=SOAK_S, deadline_s=900, absent_s=120, max_failed=0.05, gates=(gate("fps>=20"),))
    proposal = proposal_of(artifact, Release(app=app, artifact=artifact.sha256))
    began = time.monotonic()
    await begin(bus, Wish(group=GROUP, proposal=proposal, name=app, plan=plan), artifact, None)
    killed = restart is None

    def say(rollout: Rollout, now: object) -> None:
        nonlocal killed
        ok = len(now.ok)  # type: ignore[attr-defined]
        sys.stderr.write(f"\r{app}: wave {rollout.wave + 1}, {ok} ok, {len(rollout.failed)} failed  ")
        if not killed and rollout.wave == 2 and ok > 0.3 * boards:
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


async def simulated(folder: Path, boards: int, workers: int, idle_s: float) -> dict[str, object]:
    """The whole story."""
    free = [_free_port() for _ in range(3)]
    listening = Listening(store=folder / "store", host="127.0.0.1", port=free[0], mqtt_port=free[1], monitor_port=free[2])
    authority = founded(folder / "fleet", "simulated", f"nats://127.0.0.1:{free[0]}", listening, "ada")
    machine = Machine(authority, free[0], free[2])
    machine.start()
    await prepared(authority)
    chosen = random.Random(7).sample(range(boards), max(2, boards // 100))
    bad = {number: "sick" if place % 2 else "slow" for place, number in enumerate(chosen)}
    began = time.monotonic()
    orders = await enrolled(authority, boards, bad)
    enrolled_s = time.monotonic() - began
    processes = []
    for number in range(workers):
        paths = folder / f"orders-{number}.json", folder / f"answers-{number}.json"
        paths[0].write_text(json.dumps(orders[number::workers]))
        processes.append((subprocess.Popen([sys.executable, __file__, "--work", *map(str, paths)]), paths[1]))
    try:
        return await _measured(folder, authority, machine, processes, boards, bad, enrolled_s, idle_s)
    finally:
        for process, _ in processes:
            process.kill()
        if machine.process:
            machine.process.kill()


async def _measured(
    folder: Path,
    authority: Authority,
    machine: Machine,
    processes: Any,
    boards: int,
    bad: Mapping[int, str],
    enrolled_s: float,
    idle_s: float,
) -> dict[str, object]:
    small, large, broken = sized(folder, "first", 1000), sized(folder, "second", PAYLOAD_BYTES), sized(folder, "broken", 1000)
    async with connected(authority.access("ada", "operator")[0]) as bus:
        mirror = Mirror(bus)
        while len(mirror.reports) < boards:
            await mirror.look()
            await asyncio.sleep(1)
        first, _ = await rolled_out(bus, small, "first", boards)
        before, start = machine.used(), time.monotonic()
        await asyncio.sleep(idle_s)
        idle = machine.used() - before
        idle_took_s = time.monotonic() - start
        before = machine.used()
        second, took_s = await rolled_out(bus, large, "second", boards, machine)
        cost = machine.used() - before
        third, halted_s = await rolled_out(bus, broken, "broken", boards)
        for process, _ in processes:
            process.send_signal(signal.SIGTERM)
        for process, _ in processes:
            await asyncio.to_thread(process.wait, 120)
        events = await counted(bus, subjects.EVENTS, "edgekit.events.*")
        readings = await counted(bus, subjects.TELEMETRY, "edgekit.telemetry.*")
    answers = [json.loads(path.read_text()) for _, path in processes]
    ended = [agent for answer in answers for agent in answer["agents"]]
    return {
        "conditions": conditions(),
        "boards": boards,
        "payload_bytes": sum(file.bytes for file in large.manifest.files),
        "waves": list(WAVES),
        "heartbeat_s": HEARTBEAT_S,
        "enrolled_s": round(enrolled_s, 1),
        "rollout": {"phase": second.phase, "seconds": round(took_s, 1), "failed": len(second.failed), "bad": len(bad)},
        "bad_release": {"phase": third.phase, "seconds": round(halted_s, 1), "reason": third.reason[:60]},
        **_judged(ended, events, readings, first, second, bad),
        "server": {
            "peak_rss_bytes": machine.peak_rss,
            "idle_per_board_and_hour": {name: round(value / boards * 3600 / idle_took_s, 1) for name, value in idle.items()},
            "rollout_per_board": {name: round(value / boards, 1) for name, value in cost.items()},
            "disk_bytes": sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file()),
        },
        "agents_cpu_s": round(sum(answer["cpu_s"] for answer in answers), 1),
    }


def _judged(ended: Any, events: Any, readings: Any, first: Any, second: Any, bad: Mapping[int, str]) -> dict[str, object]:
    """What must hold; anything that does not ends the run."""
    ill = {f"cam-{number:05d}" for number in bad}
    wrong = [agent["device"] for agent in ended if agent["running"] != (first if agent["device"] in ill else second).release]
    lost_events = [agent["device"] for agent in ended if len(events.get(agent["device"], ())) != agent["said"].get("event", 0)]
    kept = {agent["device"]: agent["waiting"] + agent["dropped"] + len(readings.get(agent["device"], ())) for agent in ended}
    lost_readings = sum(agent["said"].get("reading", 0) - kept[agent["device"]] for agent in ended)
    return {
        "on_the_wrong_release": len(wrong),
        "between_releases": sum(bool(agent["half"]) for agent in ended),
        "boards_that_lost_events": len(lost_events),
        "readings_lost": lost_readings,
        "bad_found": len(ill & set(second.failed)),
        "good_called_bad": len(set(second.failed) - ill),
        "events": sum(map(len, events.values())),
        "readings": sum(map(len, readings.values())),
        "downloaded_bytes_per_board": round(sum(agent["received"] for agent in ended) / len(ended)),
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--idle", type=float, default=90.0, metavar="S")
    parser.add_argument("--work", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--soak", type=float, default=SOAK_S, metavar="S")
    args = parser.parse_args()
    globals()["SOAK_S"] = args.soak
    if args.work:
        asyncio.run(work(*args.work))
        return
    with tempfile.TemporaryDirectory(prefix="edgekit-fleet-") as folder:
        found = asyncio.run(simulated(Path(folder), args.boards, args.workers, args.idle))
    if args.boards >= 100:
        write("fleet", found)
    else:
        print(json.dumps(found, indent=2))  # a trial


if __name__ == "__main__":
    main()
