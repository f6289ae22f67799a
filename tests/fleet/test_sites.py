"""A site's own server, a leaf node between its boards and the fleet's: two real nats-server processes on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from boards import MakeNamed
from certificates import signed
from mqtt import Mqtt
from nats_fleet import Server, agent_of, enrolled, nats_server, new_server, new_site, rolled_out, running, until, wish

from edgekit.cli import main
from edgekit.commands._fleet_owner import prepared
from edgekit.core.errors import NotFound
from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.server import subjects
from edgekit.fleet.server.configuration import hub_of
from edgekit.fleet.trust.authority import read_access
from edgekit.fleet.trust.keys import key_from
from edgekit.fleet.wire.bus import connected
from edgekit.fleet.wire.values import Unreachable


@pytest.fixture
def site(server: Server) -> Iterator[Server]:
    """The server of the site `barn`, joined to the fleet's."""
    made = new_site(server, "barn")
    made.start()
    yield made
    made.end()


def test_boards_behind_a_sites_server_take_part_in_a_rollout_and_what_they_say_arrives(
    server: Server, site: Server, make_artifact: MakeNamed
) -> None:
    artifact = make_artifact("one")

    async def story() -> None:
        accesses = {**await enrolled(server, "hall-1"), **await enrolled(server, "barn-1", "barn-2", site="barn")}
        assert accesses["barn-1"].url == f"nats://127.0.0.1:{site.listening.port}" != accesses["hall-1"].url
        places = {name: Pretended() for name in accesses}
        agents = [agent_of(server, name, place, access=accesses[name]) for name, place in places.items()]
        async with running(*agents), connected(server.access("ada")) as bus:
            ended = await rolled_out(bus, wish(artifact), artifact)
            assert (ended.phase, ended.failed) == ("done", ())
            assert {name: place.running for name, place in places.items()} == dict.fromkeys(places, ended.release)
            said = {entry.key for entry in await bus.history("edgekit.events.*", subjects.EVENTS)}
            assert said == {subjects.events(name) for name in places}

    asyncio.run(story())


def test_the_site_serves_mqtt_while_the_fleets_server_is_away_and_hands_in_what_waited(
    server: Server, site: Server, make_artifact: MakeNamed
) -> None:
    artifact = make_artifact("one")
    token = server.access("home", "reader").credentials.splitlines()[1]

    async def story() -> None:
        access = (await enrolled(server, "barn-1", site="barn"))["barn-1"]
        place, spool = Pretended(), server.spool()
        async with running(agent_of(server, "barn-1", place, access=access, spool=spool)):
            await until(lambda: spool.waiting("reading") == 0, "the first readings are there")
            await asyncio.to_thread(server.stop, kill=True)
            with closing(Mqtt(site.listening.mqtt_port, token)) as heard:
                assert (heard.code, heard.subscribe("edgekit/telemetry/+")) == (0, 0)
                topic, data = await asyncio.to_thread(heard.message)
            assert topic == "edgekit/telemetry/barn-1" and json.loads(data.splitlines()[0])["fps"] == 25.0
            await asyncio.to_thread(server.start)
            async with connected(server.access("ada"), patient=True) as bus:
                ended = await rolled_out(bus, wish(artifact, waves=(1.0,), absent_s=25.0), artifact)
                assert (ended.phase, place.running) == ("done", ended.release)
                await until(lambda: spool.waiting() == 0, "what waited is there")

    asyncio.run(story())


@pytest.mark.parametrize("vouched", [True, False])
def test_over_tls_a_site_joins_the_server_that_the_fleets_authority_vouches_for_and_no_other(
    tmp_path: Path, vouched: bool
) -> None:
    server = new_server(tmp_path, nats_server(), tls=signed(tmp_path / "tls", "home"))
    server.start()
    try:
        asyncio.run(prepared(server.authority))
        site = new_site(server, "barn")
        if not vouched:
            (site.config.parent / "fleet.pem").write_text(signed(tmp_path / "other", "another")[2].read_text())
        site.start()
        said = "Leafnode connection created" if vouched else "certificate signed by unknown authority"
        try:
            asyncio.run(until(lambda: said in site.log.read_text(), said))
        finally:
            site.end()
    finally:
        server.end()


def test_behind_a_sites_server_a_credential_speaks_for_its_own_board_alone(server: Server, site: Server) -> None:
    async def story() -> None:
        thief = (await enrolled(server, "thief", site="barn"))["thief"]
        await enrolled(server, "victim", site="barn")
        async with connected(server.access("ada")) as ada, connected(thief) as bus:
            await bus.put(subjects.REPORTED, "thief", b"{}")
            for subject in (subjects.events("victim"), subjects.write_of(subjects.REPORTED, "victim"), *_OPERATORS):
                await bus.client.publish(subject, b"forged")
            await bus.client.flush()
            await bus.put(subjects.REPORTED, "thief", b"[]")  # what was published before it has been judged
            assert await _written(ada) == {"thief"}

    asyncio.run(story())


def test_a_stolen_credential_of_a_site_says_what_boards_may_and_gives_no_orders(server: Server, site: Server) -> None:
    """Spoken as a leaf node speaks, so that no server of ours is polite on the thief's behalf."""
    site.stop()
    credential = (site.config.parent / "site.creds").read_text()

    async def story() -> None:
        await enrolled(server, "victim", site="barn")
        async with connected(server.access("ada")) as ada:
            with closing(_Leaf(server.listening.leaf_port, credential)) as thief:

                async def arrived() -> bool:
                    """Said again each time: what comes in while the server still lays out a new leaf's subjects may be lost."""
                    thief.says(subjects.write_of(subjects.REPORTED, "victim"), b"{}")
                    for subject in _OPERATORS:
                        thief.says(subject, b"forged")
                    thief.says(subjects.write_of(subjects.REPORTED, "last"), b"{}")
                    thief.flush()
                    return await _written(ada) == {"victim", "last"}

                await until(arrived, "what boards may say is there, after what they may not")

    asyncio.run(story())


_OPERATORS = (
    subjects.subject_of(subjects.DESIRED, "device.victim"),
    subjects.write_of(subjects.DESIRED, "device.victim"),
    subjects.write_of(subjects.ROLLOUTS, "cameras"),
    subjects.audit("ada"),
    "$JS.API.STREAM.DELETE.EDGEKIT_EVENTS",
    f"{subjects.API}.STREAM.DELETE.EDGEKIT_EVENTS",
)


async def _written(ada: object) -> set[str]:
    """Who has reported; nothing but reports was written."""
    for bucket in (subjects.DESIRED, subjects.ROLLOUTS):
        assert await ada.entries(bucket) == {}  # type: ignore[attr-defined]
    assert await ada.history("edgekit.audit.ada", subjects.AUDIT) == []  # type: ignore[attr-defined]
    assert await ada.history("edgekit.events.*", subjects.EVENTS) == []  # type: ignore[attr-defined]
    return set(await ada.entries(subjects.REPORTED))  # type: ignore[attr-defined]


class _Leaf:
    """The protocol between servers, as much of it as publishing takes."""

    def __init__(self, port: int, credential: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        self._lines = self._socket.makefile("rb")
        nonce = json.loads(self._lines.readline().removeprefix(b"INFO "))["nonce"].encode()
        lines = credential.splitlines()
        token, seed = lines[1], next(line for line in lines if line.startswith("SU"))
        signed = base64.urlsafe_b64encode(key_from(seed).sign(nonce)).decode().rstrip("=")
        told = {"jwt": token, "sig": signed, "name": "thief", "headers": True, "jetstream": False}
        self._socket.sendall(b"CONNECT " + json.dumps(told).encode() + b"\r\n")

    def says(self, subject: str, data: bytes) -> None:
        self._socket.sendall(f"LMSG {subject} {len(data)}\r\n".encode() + data + b"\r\n")

    def flush(self) -> None:
        self._socket.sendall(b"PING\r\n")
        while not (line := self._lines.readline()).startswith(b"PONG"):
            if not line or line.startswith(b"-ERR"):
                raise ConnectionError(line)

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def test_a_revoked_board_is_out_at_the_site_once_its_server_is_told(
    server: Server, site: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--fleet", str(server.authority.folder)]
    file = tmp_path / "barn-1.json"
    assert main(["fleet", "enroll", "barn-1", "--group", "cameras", "--site", "barn", "-o", str(file), *folder]) == 0

    async def comes_in() -> None:
        async with connected(read_access(file)):
            pass

    asyncio.run(comes_in())
    assert main(["fleet", "revoke", "barn-1", *folder]) == 0
    assert "edgekit fleet prepare --site barn" in capsys.readouterr().out
    assert main(["fleet", "prepare", "--site", "barn", *folder]) == 0
    with pytest.raises(Unreachable, match=r"(?i)authorization|revoked"):
        asyncio.run(comes_in())


def test_a_revoked_site_is_out_at_the_fleets_server(server: Server, site: Server) -> None:
    credential = (site.config.parent / "site.creds").read_text()
    with closing(_Leaf(server.listening.leaf_port, credential)) as let_in:
        let_in.flush()
    assert main(["fleet", "revoke", "barn", "--fleet", str(server.authority.folder)]) == 0
    with pytest.raises(ConnectionError), closing(_Leaf(server.listening.leaf_port, credential)) as turned_away:
        turned_away.flush()


def test_no_site_is_made_while_the_fleets_server_is_away(server: Server, tmp_path: Path) -> None:
    server.stop()
    assert main(["fleet", "site", "shed", "--url", "nats://shed:4222", "--fleet", str(server.authority.folder)]) == 1
    assert not (server.authority.folder / "sites").exists() and not server.authority.fleet.sites


def test_a_site_reaches_the_fleet_where_boards_do_at_a_port_of_its_own(server: Server) -> None:
    assert hub_of("tls://fleet.example:4222") == "tls://fleet.example:7422"
    assert hub_of("nats://[::1]:4222") == "nats-leaf://[::1]:7422"
    with pytest.raises(NotFound, match="has no site 'shed'"):
        server.authority.access("cam-9", "board", group="cameras", site="shed")
