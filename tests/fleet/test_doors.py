"""The server's other door, MQTT for home automation, and the commands that lead from a new fleet to its list."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path

import pytest
from boards import MakeNamed
from mqtt import Mqtt
from nats_fleet import Server, agent_of, enrolled, running

from edgekit.cli import main
from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.trust.authority import read_access
from edgekit.fleet.wire.bus import connected


def test_a_listener_hears_the_boards_over_mqtt_and_can_say_nothing(server: Server, tmp_path: Path) -> None:
    folder = str(server.authority.folder)
    assert (
        main(["fleet", "enroll", "home", "--role", "reader", "--fleet", folder, "-o", str(tmp_path / "home.json"), "--json"])
        == 0
    )
    token = read_access(tmp_path / "home.json").credentials.splitlines()[1]

    async def story() -> None:
        access = (await enrolled(server, "cam-1"))["cam-1"]
        with closing(Mqtt(server.listening.mqtt_port, token)) as heard:
            assert heard.code == 0 and heard.subscribe("edgekit/telemetry/+") == 0
            async with running(agent_of(server, "cam-1", Pretended(), access=access)):
                topic, data = await asyncio.to_thread(heard.message)
            assert topic == "edgekit/telemetry/cam-1" and json.loads(data.splitlines()[0])["fps"] == 25.0
            heard.publish("edgekit/events/cam-1", b"forged")
        async with connected(server.access("ada")) as bus:
            events = await bus.history("edgekit.events.*", "EDGEKIT_EVENTS")
            assert b"forged" not in [entry.value for entry in events]

    asyncio.run(story())
    with closing(Mqtt(server.listening.mqtt_port, "no token")) as stranger:
        assert stranger.code != 0


def test_the_commands_from_a_new_fleet_to_its_list(
    server: Server, make_artifact: MakeNamed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--fleet", str(server.authority.folder)]
    ada = ["--access", str(server.authority.folder / "access/ada.json"), "--json"]

    def said(*words: str) -> dict[str, object]:
        assert main(["fleet", *words]) == 0, capsys.readouterr()
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    assert said("prepare", *folder, "--json") == {"prepared": True}
    enrolled_as = said("enroll", "cam-1", "--group", "cameras", *folder, "--json")
    access = read_access(Path(str(enrolled_as["access"])))
    assert (access.name, access.group, access.role) == ("cam-1", "cameras", "board")
    assert main(["fleet", "enroll", "cam-2", *folder]) == 2, "a board without a group"
    assert main(["fleet", "enroll", "cam.2", "--group", "cameras", *folder]) == 1, "a name of two words"
    (row,) = said("list", *ada)["boards"]  # type: ignore[misc]
    assert (row["device"], row["state"]) == ("cam-1", "never heard")
    assert main(["fleet", "pause", "cameras", *ada]) == 1
    assert "never a rollout" in capsys.readouterr().out
    status = said("status", *ada)
    (group,) = status["groups"]
    assert (group["group"], group["boards"], group["rollout"]) == ("cameras", 1, None)
    assert group["medians"]["boards"] == 0, "nobody has reported yet"
    assert [line["verb"] for line in status["audit"]] == ["enroll"]  # type: ignore[union-attr]
    said("revoke", "cam-1", *folder, "--json")
    assert said("list", *ada)["boards"] == []
    assert "ProtectSystem=strict" in str(said("unit", "--json")["text"])
    options = ["--app", "digits", "--artifact", str(make_artifact("one").path), "--absent", "0.1", "--soak", "0"]
    assert main(["fleet", "rollout", "cameras", *options, *ada]) == 4, "there is nobody to roll out to"
