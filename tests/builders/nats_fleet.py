"""A fleet for tests: a real nats-server on loopback with the configuration that `edgekit fleet init` writes, and boards that are folders."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from boards import free_port

from edgekit.cli import main
from edgekit.commands._fleet_owner import _enrolled as enroll_there
from edgekit.commands._fleet_owner import prepared
from edgekit.core.schema import Artifact
from edgekit.deploy.nouns import Release
from edgekit.deploy.push import proposal_of
from edgekit.fleet.agent.agent import Agent
from edgekit.fleet.agent.spool import Spool
from edgekit.fleet.nouns import Plan, Rollout
from edgekit.fleet.rollout.drive import Driver, Wish, begin
from edgekit.fleet.rollout.mirror import Mirror
from edgekit.fleet.server.configuration import LEAF_PORT, Listening, hub_of
from edgekit.fleet.tasks import end
from edgekit.fleet.trust.authority import Access, Authority, founded
from edgekit.fleet.wire.bus import Bus
from edgekit.signing.minisign import PublicKey
from edgekit.signing.sign import Signer


def nats_server() -> str:
    """The program; the test is skipped where it or the Python packages are not."""
    pytest.importorskip("nats", reason="the extra [fleet] is not installed")
    pytest.importorskip("nkeys", reason="the extra [fleet] is not installed")
    found = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("nats-server is not on this machine")
    return found


@dataclass
class Server:
    """The fleet's server, which can be stopped and started again on the same port and disk."""

    program: str
    authority: Authority
    listening: Listening
    process: subprocess.Popen[bytes] | None = None
    spools: list[Spool] = field(default_factory=list)

    site: str = ""
    """A site's server, not the fleet's own."""

    @property
    def config(self) -> Path:
        folder = self.authority.folder
        return (folder / "sites" / self.site if self.site else folder) / "nats-server.conf"

    @property
    def log(self) -> Path:
        return self.config.with_suffix(".log")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.program, "-c", str(self.config)], stdout=log, stderr=log)
        wait_for_port(self.listening.port, self.process)

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(20)
            self.process = None

    def spool(self) -> Spool:
        """The memory of a board that loses it with the test."""
        self.spools.append(Spool(":memory:"))
        return self.spools[-1]

    def end(self) -> None:
        self.stop(kill=True)
        for spool in self.spools:
            spool.close()

    def access(self, name: str, role: str = "operator", **more: object) -> Access:
        return self.authority.access(name, role, **more)[0]  # type: ignore[arg-type]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Started and prepared; its disk goes with the test."""
    made = new_server(tmp_path, nats_server())
    made.start()
    try:
        asyncio.run(prepared(made.authority))
        yield made
    finally:
        made.end()


def new_server(folder: Path, program: str, *, tls: tuple[Path, Path, Path] | None = None) -> Server:
    """`tls`: its certificate, its key, and the certificate of who vouches for it."""
    port = free_port()
    listening = Listening(
        store=folder / "store",
        host="127.0.0.1",
        port=port,
        mqtt_port=free_port(),
        leaf_port=free_port(),
        certificate=tls and tls[:2],
    )
    url, vouching = f"{'tls' if tls else 'nats'}://127.0.0.1:{port}", tls[2].read_text() if tls else ""
    authority = founded(folder / "fleet", "home", url, listening, "ada", vouching)
    return Server(program, authority, listening)


def new_site(server: Server, name: str) -> Server:
    """A leaf node on loopback, from what `edgekit fleet site` writes."""
    port, folder = free_port(), server.authority.folder
    listening = Listening(store=folder / "store" / name, host="127.0.0.1", port=port, mqtt_port=free_port(), leaf_port=0)
    there = folder / "sites" / name
    words = ["fleet", "site", name, "--fleet", str(folder), "--folder", str(there), "--url", f"nats://127.0.0.1:{port}"]
    hub = hub_of(server.authority.fleet.url).replace(str(LEAF_PORT), str(server.listening.leaf_port))
    words += [
        "--hub",
        hub,
        "--store",
        str(listening.store),
        "--host",
        listening.host,
        "--port",
        str(port),
        "--mqtt-port",
        str(listening.mqtt_port),
    ]
    assert main(words) == 0
    return Server(server.program, server.authority, listening, site=name)


def wait_for_port(port: int, process: subprocess.Popen[bytes], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the server ended with status {process.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    pytest.fail("the server does not listen")


def agent_of(
    server: Server,
    name: str,
    place: object,
    *,
    group: str = "cameras",
    spool: Spool | None = None,
    keys: Callable[[], tuple[PublicKey, ...]] = tuple,
    access: Access | None = None,
) -> Agent:
    """An agent with a quick pulse."""
    return Agent(
        access or server.access(name, "board", group=group),
        place,  # type: ignore[arg-type]
        spool or server.spool(),
        keys,
        heartbeat_s=0.5,
        look_again_s=30,
    )


async def until(true: Callable[[], object | Awaitable[object]], what: str, limit_s: float = 30.0) -> None:
    """Wait until something holds."""
    end = asyncio.get_running_loop().time() + limit_s
    while asyncio.get_running_loop().time() < end:
        found = true()
        if await found if isinstance(found, Awaitable) else found:
            return
        await asyncio.sleep(0.03)
    pytest.fail(f"it never came to this: {what}")


@asynccontextmanager
async def running(*agents: Agent) -> AsyncIterator[None]:
    """The agents run for the length of the block; one that ends by itself fails the test."""
    tasks = [asyncio.create_task(agent.run()) for agent in agents]
    try:
        yield
        for task in tasks:
            assert not task.done(), task
    finally:
        await end(tasks)


async def enrolled(server: Server, *names: str, group: str = "cameras", site: str = "") -> dict[str, Access]:
    """Boards that are members, each with its access."""
    found = {}
    for name in names:
        found[name], public = server.authority.access(name, "board", group=group, site=site)
        await enroll_there(server.authority, name, "board", group, public)
    return found


async def agents_on(server: Server, places: Mapping[str, object]) -> list[Agent]:
    """The agents of boards by name, which are members from now on."""
    accesses = await enrolled(server, *places)
    return [agent_of(server, name, place, access=accesses[name]) for name, place in places.items()]


def wish(artifact: Artifact, app: str = "digits", group: str = "cameras", **plan: object) -> Wish:
    """A rollout in two waves, watched for a moment."""
    quick = Plan(waves=(0.25, 1.0), soak_s=0.2, deadline_s=20, absent_s=8, max_failed=0.0)
    proposal = proposal_of(artifact, Release(app=app, artifact=artifact.sha256))
    return Wish(group=group, proposal=proposal, name=app, plan=msgspec.structs.replace(quick, **plan))


async def rolled_out(
    bus: Bus, wanted: Wish, artifact: Artifact, signer: Signer | None = None, *, limit_s: float = 30.0
) -> Rollout:
    """Begun and driven to its end."""
    await begin(bus, wanted, artifact, signer)
    return await asyncio.wait_for(Driver(bus, wanted.group, Mirror(bus)).run(), limit_s)
