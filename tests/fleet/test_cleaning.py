"""What leaves the fleet's store: on a real server, with real rollouts."""

from __future__ import annotations

import asyncio

from boards import MakeNamed
from nats_fleet import Server, agents_on, rolled_out, running, wish

from edgekit.core.schema import Artifact
from edgekit.deploy.push import proposal_of
from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.rollout.cleaning import clean
from edgekit.fleet.wire.bus import connected


def hashes(artifact: Artifact, app: str) -> set[str]:
    return {part.sha256 for part in proposal_of(artifact, wish(artifact, app).proposal.release).parts}


def test_files_of_old_releases_leave_the_store_and_what_is_wanted_or_young_stays(
    server: Server, make_artifact: MakeNamed
) -> None:
    names = ("first", "second", "third")
    made = {name: make_artifact(name) for name in names}

    async def story() -> None:
        agents = await agents_on(server, {"cam-1": Pretended()})
        async with running(*agents), connected(server.access("ada")) as bus:
            for name in names:
                assert (await rolled_out(bus, wish(made[name], name, waves=(1.0,)), made[name])).phase == "done"
            everything = set(await bus.files())
            assert everything == set().union(*(hashes(made[name], name) for name in names))
            assert (await clean(bus, kept=1)).removed == (), "all of it is younger than a day"
            wanted = hashes(made["third"], "third")
            foretold = await clean(bus, kept=1, young_s=0, dry=True)
            assert set(foretold.removed) == everything - wanted and set(await bus.files()) == everything
            two = await clean(bus, kept=2, young_s=0)
            assert set(two.removed) == hashes(made["first"], "first") - hashes(made["second"], "second") - wanted
            assert set((await clean(bus, kept=0, young_s=0)).removed) == hashes(made["second"], "second") - wanted
            assert set(await bus.files()) == wanted
            late = await agents_on(server, {"cam-2": (place := Pretended())})
            async with running(*late):
                again = await rolled_out(bus, wish(made["first"], "first", waves=(1.0,)), made["first"])
            assert again.phase == "done" and place.running == again.release, "what was taken out is uploaded again"

    asyncio.run(story())
