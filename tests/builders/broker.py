"""A real MQTT broker on loopback (mosquitto), which can be killed and started again at the same port."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from waiting import wait_until

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@dataclass(slots=True)
class Broker:
    """A mosquitto. `users` is a password file's path, or nothing for a broker that lets everybody in; with `tls` (certificate and
    key) it has a second, encrypted port."""

    folder: Path
    port: int
    users: str = ""
    tls: tuple[Path, Path] | None = None
    tls_port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        lines = ["user root", f"listener {self.port} 127.0.0.1"]
        lines += [f"password_file {self.users}", "allow_anonymous false"] if self.users else ["allow_anonymous true"]
        config = self.folder / "mosquitto.conf"
        if self.tls is not None:
            certificate, key = self.tls
            lines += [f"listener {self.tls_port} 127.0.0.1", f"certfile {certificate}", f"keyfile {key}"]
        config.write_text("\n".join([*lines, "persistence false", ""]))
        assert MOSQUITTO is not None
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_open(self.port), "the broker answers")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Listener:
    """A client of the tests' own: everything it was sent, by topic, and in order."""

    client: Any
    came: Queue[tuple[str, bytes]] = field(default_factory=Queue)
    last: dict[str, bytes] = field(default_factory=dict)
    all: list[tuple[str, bytes]] = field(default_factory=list)

    def of(self, topic: str) -> list[bytes]:
        return [payload for name, payload in list(self.all) if name == topic]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def broker(folder: Path, *, users: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[Broker]:
    """A broker that runs until the block ends; the test is skipped where there is none."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here (Debian package mosquitto)")
    running = Broker(folder, free_port(), users, tls, free_port() if tls else 0)
    running.start()
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def listening(port: int) -> Iterator[Listener]:
    """A client that is subscribed to everything."""
    paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt (extra notify) is not installed")
    listener = Listener(paho.Client(paho.CallbackAPIVersion.VERSION2))
    subscribed = Queue[bool]()

    def came(_client: object, _data: object, message: Any) -> None:
        listener.last[message.topic] = message.payload
        listener.all.append((message.topic, message.payload))

    listener.client.on_message = came
    listener.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
    listener.client.on_subscribe = lambda *_: subscribed.put(True)
    listener.client.connect("127.0.0.1", port)
    listener.client.loop_start()
    subscribed.get(timeout=10)
    try:
        yield listener
    finally:
        listener.client.disconnect()
        listener.client.loop_stop()
