"""What may go wrong in a fleet: the server away for long, stolen and expired credentials, forged orders, and power cuts at any step."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
import traceback
from pathlib import Path

import msgspec
import pytest
from boards import MakeNamed
from boards import Place as Spot
from nats_fleet import Server, agent_of, enrolled, rolled_out, running, until, wish

from edgekit.commands._fleet_owner import _revoked
from edgekit.core.errors import EdgekitError, GateFailed, InputError
from edgekit.deploy.board.layout import name_of
from edgekit.fleet.agent.agent import Agent
from edgekit.fleet.agent.spool import Spool
from edgekit.fleet.board.place import Board
from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.desk.overview import boards
from edgekit.fleet.nouns import Order, Report, Sealed
from edgekit.fleet.rollout.mirror import Mirror
from edgekit.fleet.server import subjects
from edgekit.fleet.tasks import end
from edgekit.fleet.trust import seal
from edgekit.fleet.trust.authority import Authority
from edgekit.fleet.trust.keys import new_key
from edgekit.fleet.wire.bus import connected
from edgekit.fleet.wire.values import Entry, Unreachable

# The server away


def test_what_a_board_has_to_say_waits_for_the_server_and_then_arrives_once(server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        spool = Spool(tmp_path / "fleet.db")
        agent = agent_of(server, "cam-1", Pretended(), access=access, spool=spool)
        agent.heartbeat_s = 0.1
        async with running(agent):
            await until(lambda: spool.fact("order") == "" and spool.waiting() == 0, "the first readings are there")
            await asyncio.to_thread(server.stop, kill=True)
            spool.say("event", {"what": "while the server was away"})
            await until(lambda: spool.waiting("reading") > 10, "readings wait")
            assert spool.waiting("event") == 1
            await asyncio.to_thread(server.start)
            await until(lambda: spool.waiting() == 0, "all have arrived")
        spool.close()
        async with connected(server.access("ada")) as bus:
            events = await bus.history("edgekit.events.*", subjects.EVENTS)
            lines = [json.loads(line) for entry in events for line in entry.value.splitlines()]
            assert [line["what"] for line in lines] == ["while the server was away"]
            readings = await bus.history("edgekit.telemetry.*", subjects.TELEMETRY)
            numbers = [json.loads(line)["n"] for entry in readings for line in entry.value.splitlines()]
            assert len(set(numbers)) == len(numbers) and len(numbers) > 10

    asyncio.run(story())


def test_boards_whose_clocks_stand_in_1970_take_part_and_the_server_dates_what_they_say(
    server: Server, make_artifact: MakeNamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = make_artifact("one")
    began = time.time()

    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        ada = server.access("ada")
        monkeypatch.setattr(time, "time", lambda: 86400.0)
        place = Pretended()
        async with running(agent_of(server, "cam-1", place, access=access)), connected(ada) as bus:
            ended = await rolled_out(bus, wish(artifact, waves=(1.0,)), artifact)
            assert (ended.phase, place.running) == ("done", ended.release)
            assert all(entry.at_s >= began - 60 for entry in await bus.history("edgekit.events.*", subjects.EVENTS))

    asyncio.run(story())


def test_a_full_spool_gives_up_the_oldest_readings_counts_them_and_keeps_every_event(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "fleet.db", most_readings=50)
    for number in range(200):
        spool.say("reading", {"number": number})
        spool.say("event", {"number": number})
    assert (spool.waiting("reading"), spool.waiting("event"), spool.dropped()) == (50, 200, 150)
    batch = spool.next_batch("reading")
    assert batch is not None and json.loads(batch.data.splitlines()[0])["number"] == 150
    spool.close()
    again = Spool(tmp_path / "fleet.db")
    assert (again.waiting("event"), again.dropped()) == (200, 150)
    sent = []
    while batch := again.next_batch("event"):
        sent += [json.loads(line)["number"] for line in batch.data.splitlines()]
        again.done(batch)
    assert sent == list(range(200))
    again.close()


def test_a_damaged_spool_is_put_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").write_bytes(b"not a database at all, but long enough to look like one" * 40)
    spool = Spool(tmp_path / "fleet.db")
    batch = spool.next_batch("event")
    assert batch is not None and json.loads(batch.data)["what"] == "queue lost"
    assert (tmp_path / "fleet.damaged").is_file()
    spool.close()


def test_a_queue_that_is_whole_and_cannot_be_opened_now_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another agent has it: putting it aside would lose the newest order with it."""
    monkeypatch.setattr("edgekit.fleet.agent.spool._WAIT_S", 0.2)
    spool = Spool(tmp_path / "fleet.db")
    spool.remember(order="the newest")
    spool.close()
    other = sqlite3.connect(tmp_path / "fleet.db")
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(EdgekitError, match="cannot be opened: database is locked"):
        Spool(tmp_path / "fleet.db")
    other.close()
    assert not (tmp_path / "fleet.damaged").exists()
    again = Spool(tmp_path / "fleet.db")
    assert again.fact("order") == "the newest"
    again.close()


def test_a_board_whose_disk_is_full_goes_on_saying_that_it_lives(server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        spool = Spool(tmp_path / "fleet.db")
        spool.say("event", {"what": "before"})
        pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
        spool._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(EdgekitError, match="is full"):
            while True:
                spool.say("event", {"what": "x" * 2000})
        agent = agent_of(server, "cam-1", Pretended(), access=access, spool=spool)
        agent.heartbeat_s = 0.1
        async with running(agent), connected(server.access("ada")) as bus:
            mirror = Mirror(bus)
            await mirror.look()
            following = asyncio.create_task(mirror.follow())
            await until(lambda: mirror.at_s.get("cam-1"), "it was heard")
            first = mirror.at_s["cam-1"]
            await until(lambda: mirror.at_s["cam-1"] > first + 0.2, "and again")
            spool._db.execute("PRAGMA max_page_count = 100000")
            await until(lambda: spool.waiting() == 0, "with room again everything arrives")
            await end([following])
        spool.close()

    asyncio.run(story())


def test_what_a_board_says_after_its_card_was_made_anew_is_not_taken_for_what_it_said_before(server: Server) -> None:
    """Its numbers begin anew, and the server drops what it believes to have."""

    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        for life in ("first", "second"):
            spool = server.spool()
            spool.say("event", {"what": life})
            async with running(agent_of(server, "cam-1", Pretended(), access=access, spool=spool)):
                await until(lambda spool=spool: spool.waiting("event") == 0, "it was handed in")
        async with connected(server.access("ada")) as bus:
            events = await bus.history("edgekit.events.*", subjects.EVENTS)
        assert [json.loads(line)["what"] for entry in events for line in entry.value.splitlines()] == ["first", "second"]

    asyncio.run(story())


def test_a_reading_that_was_handed_in_costs_its_card_no_write_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "fleet.db")
    writes: list[str] = []
    spool._db.set_trace_callback(lambda text: writes.append(text) if text == "COMMIT" else None)
    for number in range(20):
        spool.say("reading", {"number": number})
        batch = spool.next_batch("reading")
        assert batch is not None and [json.loads(line)["number"] for line in batch.data.splitlines()] == [number]
        spool.done(batch)
        assert spool.waiting() == 0 and spool.next_batch("reading") is None
    assert len(writes) == 20
    spool.close()
    again = Spool(tmp_path / "fleet.db")
    assert again.waiting() == 0, "and what was handed in is not said twice after an orderly end"
    again.close()


def test_a_clock_that_differs_from_the_servers_makes_no_board_silent() -> None:
    """An operator's laptop is an hour ahead: what is looked up looks an hour old."""
    mirror = Mirror(None)  # type: ignore[arg-type]  # nothing is asked of it
    said = {name: msgspec.json.encode(Report(device=name, group="g", release="r", active=True)) for name in ("a", "b")}
    server_s = time.time() - 3600
    mirror._hear_report("x.a", said["a"])
    mirror._take_looked_up({name: Entry(key=name, value=data, revision=1, at_s=server_s) for name, data in said.items()})
    assert [board["state"] for board in boards(mirror, time.time())] == ["runs", "runs"]
    assert all(board["heard_s"] < 60 for board in boards(mirror, time.time()))


# Credentials


def test_a_stolen_credential_cannot_speak_for_another_board_nor_hear_it(server: Server) -> None:
    async def story() -> None:
        thief = (await enrolled(server, "thief", "victim"))["thief"]
        wishes = seal.encoded(Sealed(text="{}"))
        async with connected(server.access("ada")) as ada, connected(thief) as bus:
            await ada.put(subjects.DESIRED, subjects.device_key("victim"), wishes)
            with pytest.raises((Unreachable, asyncio.TimeoutError)):
                await asyncio.wait_for(bus.get(subjects.DESIRED, subjects.device_key("victim")), 1)
            for subject in (
                subjects.subject_of(subjects.REPORTED, "victim"),
                subjects.write_of(subjects.REPORTED, "victim"),
                subjects.events("victim"),
                subjects.telemetry("victim"),
                subjects.subject_of(subjects.DESIRED, subjects.device_key("thief")),
                subjects.subject_of(subjects.ROLLOUTS, "cameras"),
                subjects.audit("ada"),
                "$JS.API.STREAM.DELETE.EDGEKIT_EVENTS",
            ):
                await bus.client.publish(subject, b"forged")
            heard: list[str] = []
            for subject in (
                subjects.subject_of(subjects.DESIRED, ">"),
                subjects.bell("device.victim"),
                "edgekit.>",
                "_INBOX.ada.>",
                "_INBOX.victim.>",
                ">",
            ):
                await bus.listen(subject, lambda subject, data: heard.append(subject))
            await bus.client.flush()
            await ada.put(subjects.DESIRED, subjects.device_key("victim"), wishes)
            await ada.put(subjects.DESIRED, subjects.device_key("thief"), wishes)
            assert await bus.get(subjects.DESIRED, subjects.device_key("thief")), "its own wish it may read"
            await bus.client.flush()
            assert heard == []
            assert await ada.entries(subjects.REPORTED) == {} and await ada.entries(subjects.ROLLOUTS) == {}
            assert await ada.history("edgekit.events.*", subjects.EVENTS) == []
            assert [line.key for line in await ada.history("edgekit.audit.ada", subjects.AUDIT)] == []

    asyncio.run(story())


def test_expired_unknown_and_revoked_keys_are_turned_away(server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        async with connected(access):
            pass
        with pytest.raises(Unreachable, match=r"(?i)authorization|expired"):
            async with connected(server.access("cam-2", "board", group="cameras", days=-1.0)):
                pass
        stranger = msgspec.structs.replace(
            Authority(server.authority.folder).access("cam-3", "board", group="cameras", key=new_key("USER"))[0],
            credentials=_forged(server, tmp_path),
        )
        with pytest.raises(Unreachable, match=r"(?i)authorization"):
            async with connected(stranger):
                pass
        await _revoked(server.authority, "cam-1")
        with pytest.raises(Unreachable, match=r"(?i)authorization|revoked"):
            async with connected(access):
                pass

    asyncio.run(story())


def _forged(server: Server, folder: Path) -> str:
    """Credentials of another fleet, which this server does not know."""
    from edgekit.fleet.trust.authority import founded

    other = founded(folder / "other", "other", server.authority.fleet.url, server.listening, "eve")
    return other.access("cam-3", "board", group="cameras")[0].credentials


def test_secrets_are_in_no_printed_form(server: Server) -> None:
    access = server.access("ada")
    key = new_key("USER")
    assert "SEED" not in repr(access) and key.seed not in repr(key)
    assert (server.authority.folder / "fleet.json").stat().st_mode & 0o077 == 0
    assert (server.authority.folder / "access/ada.json").stat().st_mode & 0o077 == 0


# Orders


def order(**more: object) -> Order:
    return msgspec.structs.replace(Order(fleet="home", group="cameras", serial=100, leave="r1"), **more)


def test_a_board_with_a_key_obeys_its_owner_alone() -> None:
    pytest.importorskip("cryptography", reason="the extra [sign] is not installed")
    from edgekit.signing.secret import generate

    owner, eve = generate(), generate()
    good = seal.sealed(order(), owner)
    assert seal.opened(good, (owner.public,), fleet="home", group="cameras").serial == 100
    changed = msgspec.structs.replace(good, text=good.text.replace("r1", "r2"))
    for wrong, said in (
        (seal.sealed(order()), "is not signed"),
        (seal.sealed(order(), eve), "signed by key"),
        (changed, "does not fit"),
        (msgspec.structs.replace(good, signature="nonsense"), "not a minisign signature"),
        (seal.sealed(order(group="doors"), owner), "for group 'doors'"),
        (seal.sealed(order(fleet="office"), owner), "of fleet 'office'"),
    ):
        with pytest.raises((GateFailed, InputError), match=said):
            seal.opened(wrong, (owner.public,), fleet="home", group="cameras")


def test_a_replayed_a_forged_and_a_second_order_of_one_number_are_refused_and_said(
    server: Server, make_artifact: MakeNamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography", reason="the extra [sign] is not installed")
    from edgekit.signing.secret import generate

    owner, artifact, second = generate(), make_artifact("one"), make_artifact("two")
    monkeypatch.setattr("edgekit.fleet.agent.spool.time.time", lambda: 0.0)  # a board whose clock was never set

    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        place, spool = Pretended(), Spool(":memory:")
        agent = agent_of(server, "cam-1", place, access=access, spool=spool, keys=lambda: (owner.public,))
        async with running(agent), connected(server.access("ada")) as bus:
            first = await rolled_out(bus, wish(artifact), artifact, owner)
            new = await rolled_out(bus, wish(second, "new"), second, owner)
            assert place.running == new.release
            forged = Order(fleet="home", group="cameras", serial=new.serial + 9, leave=new.release)
            two = Order(fleet="home", group="cameras", serial=new.serial, leave=new.release)
            for wrong, said in (
                (first.order, "is older than"),
                (seal.sealed(forged), "is not signed"),
                (seal.sealed(two, owner), "there are two orders"),
            ):
                await bus.put(subjects.DESIRED, subjects.device_key("cam-1"), seal.encoded(wrong))
                await until(lambda said=said: said in spool.fact("refusal"), said)  # type: ignore[misc]
            assert place.history == [first.release, new.release]
            await until(lambda: spool.waiting("event") == 0, "the refusals have arrived")
            events = await bus.history("edgekit.events.cam-1", subjects.EVENTS)
            lines = [json.loads(line) for entry in events for line in entry.value.splitlines()]
            assert [line["what"] for line in lines].count("refused") == 3
            assert {line["board_time_s"] for line in lines} == {0.0}
        spool.close()

    asyncio.run(story())


# Power cuts


def _agent_until_killed(step: int, server: Server, board: Spot, serial: int) -> bool:
    """An agent in a child that kills itself, as a power cut would, before its `step`-th change to the disk; whether it lived
    to carry out order `serial`."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"the agent failed at step {step}"
        return os.WIFEXITED(status)
    count, armed = 0, False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        writes = event == "open" and isinstance(arguments[1], str) and any(sign in arguments[1] for sign in "wax+")
        if armed and (writes or event in ("os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "subprocess.Popen")):
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    async def obey() -> None:
        nonlocal armed
        spool = Spool(board.layout.root / "fleet.db")
        agent = agent_of(server, "cam-1", Board(layout=board.layout), spool=spool)
        armed = True
        async with running(agent):
            await until(lambda: agent.ledger().serial == serial and agent.ledger().verdict, "the order was carried out", 60)
            armed = False
        assert agent.ledger().verdict == "ok", agent.ledger().message

    try:
        sys.addaudithook(hook)
        asyncio.run(obey())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(2)


@pytest.mark.slow
def test_an_agent_killed_at_any_step_leaves_the_old_or_the_new_release_and_goes_on_afterwards(
    server: Server, board: Spot, make_artifact: MakeNamed
) -> None:
    """A new order for each death; whoever starts next carries it out."""
    from edgekit.deploy.nouns import Health
    from edgekit.deploy.push import proposal_of

    health = Health(url=f"http://127.0.0.1:{board.port}/health", settle_s=0.05, deadline_s=20)
    artifacts = [make_artifact(name) for name in ("old", "new")]
    proposals = [proposal_of(each, board.release(each, health=health)) for each in artifacts]
    names = [name_of(each.release) for each in proposals]

    async def ordered(serial: int) -> None:
        async with connected(server.access("ada")) as bus:
            for artifact, proposal in zip(artifacts, proposals, strict=True):
                for part in proposal.parts:
                    await bus.upload(artifact.path / part.name, part.sha256)
            made = Order(fleet="home", group="cameras", serial=serial, proposal=proposals[serial % 2])
            await bus.put(subjects.DESIRED, subjects.device_key("cam-1"), seal.encoded(seal.sealed(made)))

    serial, step, seen = 2, 0, set()
    asyncio.run(ordered(serial))
    assert _agent_until_killed(10**6, server, board, serial)
    while True:
        serial += 1
        asyncio.run(ordered(serial))
        lived = _agent_until_killed(step, server, board, serial)
        running_now = board.layout.running()
        assert running_now in names and board.layout.release(running_now).app == "sentinel", step
        seen.add(running_now == names[serial % 2])
        if lived:
            break
        assert _agent_until_killed(10**6, server, board, serial), "the next start ends what was begun"
        assert board.layout.running() == names[serial % 2] and not board.layout.state().pending
        step += 7
    assert seen == {True, False} and step > 9


def test_an_agent_that_was_killed_in_a_deployment_ends_it_when_it_starts_again(
    server: Server, make_artifact: MakeNamed, tmp_path: Path
) -> None:
    """Cut off after the order was written down and before its verdict was."""
    artifact = make_artifact("one")

    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        place = _Dying()
        spool = Spool(tmp_path / "fleet.db")
        agent = agent_of(server, "cam-1", place, access=access, spool=spool)
        async with connected(server.access("ada")) as bus:
            driving = asyncio.create_task(rolled_out(bus, wish(artifact, waves=(1.0,)), artifact))
            with pytest.raises(PowerCut):
                await agent.run()
            assert agent.ledger().serial and not agent.ledger().verdict
            async with running(Agent(access, place, spool, tuple, heartbeat_s=0.5)):
                ended = await driving
            assert (ended.phase, place.running) == ("done", ended.release)
            report = msgspec.json.decode((await bus.entries(subjects.REPORTED))["cam-1"].value, type=Report)
            assert report.before["fps"] == BEFORE, "not what the new release does, which ran when the agent came back"
        spool.close()

    asyncio.run(story())


class PowerCut(Exception): ...


BEFORE, AFTER = 25.0, 6.0


class _Dying(Pretended):
    """Dies once in a deployment, when the release is already slower than what ran before it."""

    deaths = 0

    def readings(self) -> dict[str, float]:
        return {"fps": AFTER if self.deaths else BEFORE}

    def deploy(self, proposal):  # type: ignore[no-untyped-def]
        if not self.deaths:
            self.deaths += 1
            raise PowerCut
        return super().deploy(proposal)
