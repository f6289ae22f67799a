"""Watchdogs, systemd's and ours: a step that hangs is noticed, a camera is started anew, and only what is well says so."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, cast

import pytest
from waiting import wait_until

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.recording.clock import GRACE_S, JUMP_S, SteadyClock
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.rules.settings import Camera, Detect
from edgekit.apps.vision.sources.address import Address
from edgekit.apps.vision.tracking.tracks import Boxes, no_boxes
from edgekit.apps.vision.watching.camera import CameraWatch
from edgekit.apps.vision.watching.guards import RENEWALS, Guards
from edgekit.apps.vision.watching.systemd import ASKED_S, Systemd, from_environment
from edgekit.apps.vision.watching.watchdog import Watchdog, complaints
from edgekit.cli import main

YARD = Camera(
    name="yard",
    source=Address(kind="synthetic", target="64x48", shown="synthetic:64x48"),
    detect=Detect(),
    zones={},
    lines={},
    rules=(),
)


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_step_that_takes_too_long_is_noticed_and_one_that_comes_back_is_forgiven() -> None:
    clock = Clock()
    dog = Watchdog("detector", 10.0, clock=clock)
    with dog.step():
        clock.now_s = 9.0
        with dog.step():
            clock.now_s = 11.0
            assert not dog.well and complaints([dog]) == ("detector hangs for 11 s",)
    assert dog.well and complaints([dog]) == ()
    with pytest.raises(ValueError), dog.step():
        raise ValueError
    assert dog.busy_s == 0.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


@dataclass
class Plot:
    """A site for the guards: real cameras, and a detector's watchdog that the test owns."""

    cameras: Mapping[str, CameraWatch] = field(default_factory=dict)
    watchdogs: tuple[Watchdog, ...] = ()
    renewed: list[str] = field(default_factory=list)

    def renew(self, name: str) -> None:
        self.renewed.append(name)


def test_systemd_hears_that_all_is_well_only_while_it_is(manager: socket.socket) -> None:
    clock = Clock()
    dog = Watchdog("detector", 10.0, clock=clock)
    systemd = from_environment({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000000"})
    guards, plot = Guards(systemd=systemd, clock=clock), Plot(watchdogs=(dog,))
    guards.look(plot)
    assert manager.recv(4096).decode().startswith("WATCHDOG=1\nSTATUS=0 cameras")
    with dog.step():
        clock.now_s = 30.0
        guards.look(plot)
        assert manager.recv(4096).decode() == "STATUS=detector hangs for 30 s"
        assert guards.troubles == ("detector hangs for 30 s",)
    guards.look(plot)
    assert "WATCHDOG=1" in manager.recv(4096).decode() and guards.troubles == ()


def test_a_unit_without_a_watchdog_is_asked_for_one(manager: socket.socket) -> None:
    systemd = from_environment({"NOTIFY_SOCKET": manager.getsockname()})
    systemd.ready()
    assert manager.recv(4096).decode() == f"READY=1\nWATCHDOG_USEC={int(ASKED_S * 1e6)}"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Systemd()),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000000"}, Systemd(address="/x", watchdog_s=5.0)),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}, Systemd(address="/x", asks=True)),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, Systemd(address="/x", asks=True)),
        (
            {"NOTIFY_SOCKET": "@y", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())},
            Systemd(address="@y", watchdog_s=1.0),
        ),
    ],
)
def test_what_the_environment_says(environment: Mapping[str, str], expected: Systemd) -> None:
    assert from_environment(environment) == expected


def test_a_manager_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    Systemd(address=str(tmp_path / "nobody")).alive("well")


class Breaking:
    """A detector that dies at its first frame."""

    labels = ("person",)

    def __call__(self, frame: Frame, *_: Any) -> Boxes:
        raise RuntimeError("the accelerator fell off the bus")


class Blind:
    labels = ("person",)

    def __call__(self, frame: Frame, *_: Any) -> Boxes:
        return no_boxes()


def test_a_camera_whose_thread_died_is_started_anew_some_times_and_then_given_up(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    watch = CameraWatch(YARD, Breaking(), None, store, tmp_path)
    watch.start()
    wait_until(lambda: watch.failed, "the camera's thread ends")
    assert "fell off the bus" in watch.failed
    clock, plot = Clock(), Plot(cameras={"yard": watch})
    guards = Guards(systemd=Systemd(), clock=clock)
    for _ in range(RENEWALS + 3):
        guards.look(plot)
    assert plot.renewed == ["yard"] * RENEWALS
    assert guards.troubles == ("camera yard does not come back",)
    clock.now_s = 4000.0
    guards.look(plot)
    assert len(plot.renewed) == RENEWALS + 1
    watch.stop()
    store.close()


def test_a_read_that_hangs_is_seen_from_outside(tmp_path: Path) -> None:
    store, hang = EventStore(tmp_path / "events.db"), Flag()
    watch = CameraWatch(YARD, Blind(), None, store, tmp_path)
    watch.reading.limit_s = 0.05

    class Hanging:
        def read(self) -> Frame | None:
            hang.wait(30)
            return None

        def close(self) -> None: ...

    watch.feed._opener = lambda address, tap: cast(Any, Hanging())
    watch.start()
    wait_until(lambda: not watch.reading.well, "the watchdog barks")
    hang.set()
    wait_until(lambda: watch.reading.well, "the read came back")
    watch.stop()
    store.close()


def test_the_guards_look_by_themselves_and_end_with_the_site(manager: socket.socket) -> None:
    guards = Guards(systemd=from_environment({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000000"}))
    guards.start(Plot())
    heard = [manager.recv(4096).decode() for _ in range(3)]
    assert heard[0] == "READY=1" and all(each.startswith("WATCHDOG=1") for each in heard[1:])
    ending = Thread(target=guards.stop)
    ending.start()
    wait_until(lambda: manager.recv(4096).decode() == "STOPPING=1", "it says that it ends")
    ending.join(10)


def test_a_clock_that_jumped_is_not_believed_for_a_while() -> None:
    wall, counting = Clock(1e9), Clock()
    clock = SteadyClock(wall=wall, counting=counting)

    def passed(seconds: float, jump_s: float = 0.0) -> bool:
        counting.now_s += seconds
        wall.now_s += seconds + jump_s
        return clock.steady()

    assert not passed(10.0), "a clock that was just started"
    assert passed(GRACE_S)
    assert not passed(300.0, jump_s=3e8), "forward"
    assert not passed(GRACE_S / 2)
    assert passed(GRACE_S)
    assert not passed(300.0, jump_s=-3e8), "back"
    assert passed(GRACE_S + JUMP_S)


SITE = "cameras: {yard: {source: 'synthetic:64x48'}}\n"


def unit(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["run", "surveillance", *arguments, "--unit", "--json"]) == 0
    return str(json.loads(capsys.readouterr().out)["unit"])


def test_the_unit_is_watched_bounded_and_kept_from_what_is_not_its_business(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my 50% site.yaml").write_text(SITE)
    text = unit(["--config", str(tmp_path / "my 50% site.yaml"), "--host", "0.0.0.0"], capsys)
    for line in (
        "WatchdogSec=60",
        "MemoryMax=80%",
        "NotifyAccess=main",
        "ProtectSystem=strict",
        "DynamicUser=yes",
        "Restart=always",
    ):
        assert line in text.splitlines()
    assert f'--config "{tmp_path}/my 50%% site.yaml"' in text and "EnvironmentFile=-/etc/edgekit/surveillance.env" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    file = tmp_path / "edgekit-surveillance.service"
    file.write_text(unit(["--config", str(tmp_path / "site.yaml")], capsys))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "edgekit" not in done.stderr, done.stderr


@pytest.mark.parametrize("arguments", [["--source", "synthetic:64x48"], ["--config", "/home/me/site.yaml"]])
def test_what_no_service_could_run_is_no_unit(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "surveillance", *arguments, "--unit"]) == 2
    assert "a service" in capsys.readouterr().err
