"""A rollout over a real server: waves, gates, halting, going back, operators that die, disagree or come late."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from boards import MakeNamed
from nats_fleet import Server, agent_of, agents_on, enrolled, rolled_out, running, until, wish

from edgekit.core.errors import InputError, UsageError
from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.desk.overview import boards, deeds, group_as_json, paragraph
from edgekit.fleet.nouns import Gate, Plan, Report, Rollout, Sealed
from edgekit.fleet.rollout.drive import Driver, begin, change
from edgekit.fleet.rollout.mirror import Mirror
from edgekit.fleet.rollout.steps import checked, gate, missed, ranked, reached, standing, step
from edgekit.fleet.server import subjects
from edgekit.fleet.wire.bus import connected
from edgekit.fleet.wire.values import Conflict

NAMES = tuple(f"cam-{number}" for number in range(8))


def test_a_release_reaches_every_board_in_waves_and_becomes_the_groups_wish(server: Server, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")

    async def story() -> None:
        places = {name: Pretended() for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as bus:
            waves: list[int] = []
            wanted = wish(artifact)
            await begin(bus, wanted, artifact, None)
            driver = Driver(bus, "cameras", Mirror(bus), lambda rollout, now: waves.append(len(now.ok)))
            ended = await asyncio.wait_for(driver.run(), 60)
            assert (ended.phase, ended.failed, {place.running for place in places.values()}) == ("done", (), {ended.release})
            assert 2 in waves and max(waves) == 8, "a quarter came first"
            assert all(place.history == [ended.release] for place in places.values())
            assert await bus.get(subjects.DESIRED, subjects.device_key("cam-0")) is None
            late = Pretended()
            access = (await enrolled(server, "cam-late"))["cam-late"]
            mirror = Mirror(bus)

            async def all_told() -> bool:
                await mirror.look()
                return "done, wave 2 of 2, 9 of 9 ok" in paragraph(group_as_json(mirror, "cameras"))

            async with running(agent_of(server, "cam-late", late, access=access)):
                await until(lambda: late.running == ended.release, "a board that joins later gets what its group runs")
                await until(all_told, "the board that came later has reported, too")
            log = await deeds(bus)
            assert [line["verb"] for line in log if line["by"] == "ada"] == ["rollout", "running", "finishing", "done"]
            rows = boards(mirror, 0.0)
            assert [row["fps"] for row in rows] == [25.0] * 9 and not any(row["alerts"] for row in rows)

    asyncio.run(story())


def test_a_bad_release_is_halted_at_the_canary_and_goes_no_further(server: Server, make_artifact: MakeNamed) -> None:
    good, bad = make_artifact("good"), make_artifact("bad")

    async def story() -> None:
        places = {name: Pretended(sick=("broken",)) for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as bus:
            first = await rolled_out(bus, wish(good), good)
            second = await rolled_out(bus, wish(bad, "broken"), bad)
            assert second.phase == "returned"
            assert "halted: " in second.reason and "did not work" in second.reason
            assert {place.running for place in places.values()} == {first.release}
            touched = [name for name, place in places.items() if "broken" in place.apps.values()]
            assert set(touched) <= set(ranked(second, NAMES)[:2]), "two canaries tried it, the other six never heard of it"

    asyncio.run(story())


def test_a_release_that_is_slower_than_the_one_before_is_found_by_its_gate_and_taken_back(
    server: Server, make_artifact: MakeNamed
) -> None:
    good, slow = make_artifact("good"), make_artifact("slow")

    async def story() -> None:
        places = {name: Pretended(slow=("slow",)) for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as bus:
            first = await rolled_out(bus, wish(good), good)
            wanted = msgspec.structs.replace(wish(slow, "slow").plan, gates=(gate("latency_ms<=1.2x"),))
            found = wish(slow, "slow", **msgspec.structs.asdict(wanted))
            halted = await rolled_out(bus, type(found)(**{**_fields(found), "bench_s": 0.1}), slow)
            assert halted.phase == "returned" and "latency_ms is 40, at most 12 was asked" in halted.reason
            await until(lambda: {one.running for one in places.values()} == {first.release}, "all are back")
            assert any(len(place.history) == 3 for place in places.values()), "the canaries went there and back"

    asyncio.run(story())


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]


def test_boards_that_fail_within_the_limit_stay_on_the_old_release_and_the_rest_goes_on(
    server: Server, make_artifact: MakeNamed
) -> None:
    good, new = make_artifact("good"), make_artifact("new")

    async def story() -> None:
        places = {name: Pretended(sick=("new",) if name == "cam-3" else ()) for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as bus:
            first = await rolled_out(bus, wish(good), good)
            second = await rolled_out(bus, wish(new, "new", max_failed=0.5), new)
            assert (second.phase, second.failed) == ("done", ("cam-3",))
            assert places["cam-3"].running == first.release
            assert {place.running for name, place in places.items() if name != "cam-3"} == {second.release}
            await asyncio.sleep(1.2)  # two heartbeats: the group's wish does not reach it after all
            assert places["cam-3"].history == [first.release]

    asyncio.run(story())


def test_a_board_that_is_away_gets_the_release_when_it_comes_back(server: Server, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")

    async def story() -> None:
        accesses = await enrolled(server, "here", "away")
        here, away = Pretended(), Pretended()
        async with connected(server.access("ada")) as bus:
            async with running(agent_of(server, "here", here, access=accesses["here"])):
                ended = await rolled_out(bus, wish(artifact, waves=(1.0,), absent_s=1.5), artifact)
            assert (ended.phase, away.running) == ("done", "")
            async with running(agent_of(server, "away", away, access=accesses["away"])):
                await until(lambda: away.running == ended.release, "it has the release")

    asyncio.run(story())


def test_an_operator_may_die_in_the_middle_and_another_goes_on(server: Server, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")

    async def story() -> None:
        places = {name: Pretended() for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents):
            async with connected(server.access("ada")) as bus:
                await begin(bus, wish(artifact, soak_s=1.0), artifact, None)
                task = asyncio.create_task(Driver(bus, "cameras", Mirror(bus)).run())
                await until(lambda: any(place.running for place in places.values()), "the first wave is under way")
                task.cancel()
            assert not all(place.running for place in places.values())
            async with connected(server.access("ben")) as bus:
                ended = await asyncio.wait_for(Driver(bus, "cameras", Mirror(bus)).run(), 60)
        assert (ended.phase, ended.by) == ("done", "ada")
        assert all(place.history == [ended.release] for place in places.values())

    asyncio.run(story())


def test_two_operators_who_drive_at_once_do_every_step_once(server: Server, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")

    async def story() -> None:
        places = {name: Pretended() for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as ada, connected(server.access("ben")) as ben:
            await begin(ada, wish(artifact), artifact, None)
            both = [Driver(bus, "cameras", Mirror(bus)).run() for bus in (ada, ben)]
            first, second = await asyncio.wait_for(asyncio.gather(*both), 60)
            assert first == second and first.phase == "done"
            steps = [line["verb"] for line in await deeds(ada) if line["verb"] in ("running", "finishing", "done")]
            assert sorted(steps) == ["done", "finishing", "running"], "each step is in the log once, whoever made it"
        assert all(place.history == [first.release] for place in places.values())

    asyncio.run(story())


def test_of_two_operators_who_begin_at_once_one_is_told_about_the_other(server: Server, make_artifact: MakeNamed) -> None:
    one, two = make_artifact("one"), make_artifact("two")

    async def story() -> None:
        async with connected(server.access("ada")) as ada, connected(server.access("ben")) as ben:
            tries = [begin(ada, wish(one), one, None), begin(ben, wish(two), two, None)]
            found = await asyncio.gather(*tries, return_exceptions=True)
            refusals = [each for each in found if isinstance(each, BaseException)]
            assert len(refusals) == 1 and isinstance(refusals[0], Conflict | InputError), found
            with pytest.raises(InputError, match="is running in 'cameras'"):
                await begin(ben, wish(two), two, None)

    asyncio.run(story())


def test_a_paused_rollout_reaches_nobody_more_and_an_aborted_one_goes_back(server: Server, make_artifact: MakeNamed) -> None:
    good, new = make_artifact("good"), make_artifact("new")

    async def story() -> None:
        places = {name: Pretended() for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as ada, connected(server.access("ben")) as ben:
            first = await rolled_out(ada, wish(good), good)
            await begin(ada, wish(new, "new", soak_s=2.0), new, None)
            driving = asyncio.create_task(Driver(ada, "cameras", Mirror(ada)).run())
            await until(lambda: sum(place.app == "new" for place in places.values()) == 2, "the first wave has it")
            await change(ben, "cameras", "pause")
            await asyncio.sleep(2.6)  # longer than the wave would have been watched
            assert sum(place.app == "new" for place in places.values()) == 2
            with pytest.raises(InputError, match="nothing to pause"):
                await change(ben, "cameras", "pause")
            await change(ben, "cameras", "abort")
            ended = await asyncio.wait_for(driving, 30)
            assert (ended.phase, ended.reason) == ("returned", "aborted by ben")
            await until(lambda: {one.running for one in places.values()} == {first.release}, "all are back")
            assert [line["verb"] for line in await deeds(ada) if line["by"] == "ben"] == ["pause", "abort"]

    asyncio.run(story())


def test_the_server_may_be_killed_and_come_back_in_the_middle(server: Server, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")

    async def story() -> None:
        places = {name: Pretended() for name in NAMES}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as bus:
            await begin(bus, wish(artifact, soak_s=1.0), artifact, None)
            task = asyncio.create_task(Driver(bus, "cameras", Mirror(bus)).run())
            await until(lambda: any(place.running for place in places.values()), "the first wave is under way")
            await asyncio.to_thread(server.stop, kill=True)
            await asyncio.to_thread(server.start)
            ended = await asyncio.wait_for(task, 60)
        assert ended.phase == "done" and all(place.history == [ended.release] for place in places.values())

    asyncio.run(story())


# Without a server: the next step as a function


def plan(**more: object) -> Rollout:
    text = Sealed(text="{}")
    made = Rollout(group="g", serial=7, name="n", release="r", order=text, back=text, plan=Plan(max_failed=0.1), by="ada")
    return msgspec.structs.replace(made, **more)


def report(device: str, **more: object) -> Report:
    return Report(device=device, group="g", release="r", **more)  # type: ignore[arg-type]


def test_waves_are_shares_of_the_group_at_least_one_board_and_the_same_for_all_who_ask() -> None:
    names = [f"b{number}" for number in range(250)]
    assert [len(reached(plan(wave=wave), names)) for wave in range(4)] == [3, 25, 125, 250]
    assert len(reached(plan(), names[:5])) == 1
    assert reached(plan(), names) == reached(plan(), names[::-1]) != reached(plan(serial=8), names)
    assert set(reached(plan(wave=1), names)) <= set(reached(plan(wave=2), names))


@pytest.mark.parametrize("waves", [(), (0.5,), (0.5, 0.2, 1.0), (0.0, 1.0), (1.0, 1.0), (0.5, 2.0)])
def test_waves_grow_to_the_whole(waves: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="waves grow to 100 %"):
        checked(Plan(waves=waves))


def test_gates_are_read_and_held() -> None:
    assert gate("fps>=20") == Gate(metric="fps", most=False, limit=20)
    assert gate(" latency_ms <= 1.2x") == Gate(metric="latency_ms", most=True, limit=1.2, relative=True)
    for wrong in ("fps", "fps>20", "fps>=x", ">=3", "fps>=1;rm"):
        with pytest.raises(UsageError, match="is not a gate"):
            gate(wrong)
    measured = report("b", metrics={"fps": 19.0, "latency_ms": 12.0}, before={"latency_ms": 10.0})
    assert missed(gate("fps>=19"), measured) == "" == missed(gate("latency_ms<=1.2x"), measured)
    assert missed(gate("fps>=20"), measured) == "fps is 19, at least 20 was asked"
    assert missed(gate("latency_ms<=1.1x"), measured) == "latency_ms is 12, at most 11 was asked"
    assert missed(gate("heat<=1"), measured) == "heat was not measured"
    assert missed(gate("fps>=1x"), measured) == "fps was not measured before"


def test_what_a_wave_is_worth_is_decided_by_those_that_were_heard() -> None:
    names = ["a", "b", "c", "d"]
    reports = {"a": report("a", order=7, verdict="ok"), "b": report("b", order=7, verdict="taken back", message="sick")}
    now = standing(plan(), names, reports, {"c"})
    assert (now.ok, now.failed, now.working, now.silent) == (("a",), {"b": "sick"}, ("c",), ("d",))
    running = plan(plan=Plan(max_failed=0.25))
    ended = step(running, now, reached=4, soaked=False, absent=False, late=False)
    assert ended.failed == ("b",) and ended.phase == "running", "one of four may fail, and is remembered"
    late = step(running, now, reached=4, soaked=False, absent=True, late=True)
    assert late.phase == "returning" and "c (did not answer in time)" in late.reason
    silent = standing(plan(), names, {}, set())
    assert step(plan(), silent, reached=4, soaked=True, absent=False, late=False) == plan(), "they may yet speak"
    nobody = step(plan(), silent, reached=4, soaked=True, absent=True, late=False)
    assert nobody.reason == "halted: no board of the wave was heard"
