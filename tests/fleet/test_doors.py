"""The server's other door, MQTT for home automation, and the commands that lead from a new fleet to its list."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import closing
from pathlib import Path

import pytest
from boards import MakeNamed
from nats_fleet import Server, agent_of, enrolled, running

from edgekit.cli import main
from edgekit.fleet.authority import read_access
from edgekit.fleet.bus import connected
from edgekit.fleet.pretended import Pretended


class Mqtt:
    """MQTT 3.1.1, as much of it as hearing takes: connect, subscribe, the next message."""

    def __init__(self, port: int, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        body = _text("MQTT") + bytes([4, 0b1100_0010]) + struct.pack(">H", 60) + b"".join(map(_text, ("home", "any", password)))
        self._send(0x10, body)
        self.code = self._packet()[1][1]

    def subscribe(self, topic: str) -> int:
        self._send(0x82, struct.pack(">H", 1) + _text(topic) + b"\0")
        return self._packet()[1][2]

    def publish(self, topic: str, data: bytes) -> None:
        self._send(0x30, _text(topic) + data)

    def message(self) -> tuple[str, bytes]:
        _, body = self._packet()
        (size,) = struct.unpack(">H", body[:2])
        return body[2 : 2 + size].decode(), body[2 + size :]

    def close(self) -> None:
        self._socket.close()

    def _send(self, kind: int, body: bytes) -> None:
        length, left = b"", len(body)
        while left or not length:
            length += bytes([left % 128 | (0x80 if left > 127 else 0)])
            left //= 128
        self._socket.sendall(bytes([kind]) + length + body)

    def _packet(self) -> tuple[int, bytes]:
        kind, size, shift = self._read(1)[0], 0, 0
        while True:
            byte = self._read(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return kind, self._read(size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the server hung up")
            data += piece
        return data


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


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
    assert status["groups"] == [{"group": "cameras", "boards": 1, "rollout": None}]
    assert [line["verb"] for line in status["audit"]] == ["enroll"]  # type: ignore[union-attr]
    said("revoke", "cam-1", *folder, "--json")
    assert said("list", *ada)["boards"] == []
    assert "ProtectSystem=strict" in str(said("unit", "--json")["text"])
    options = ["--app", "digits", "--artifact", str(make_artifact("one").path), "--absent", "0.1", "--soak", "0"]
    assert main(["fleet", "rollout", "cameras", *options, *ada]) == 4, "there is nobody to roll out to"
