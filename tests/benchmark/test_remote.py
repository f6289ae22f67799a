"""`edgekit bench --on user@host` copies the artifact once and measures there, through whatever ssh the system has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import edgekit
from edgekit.benchmark.process.remote import PLACE, interpreter, on, ssh
from edgekit.cli import main
from edgekit.core.errors import ArtifactError, DeviceError, UsageError
from edgekit.core.schema import Artifact

MakeArtifact = Callable[..., Artifact]
HOST = "pi@board.local"


def program(place: Path, name: str, text: str) -> None:
    place.mkdir(exist_ok=True)
    (place / name).write_text(f"#!/bin/sh\n{text}\n")
    (place / name).chmod(0o755)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a board that is this machine, behind an ssh that notes what it was asked and runs it."""
    home, programs = tmp_path / "home", tmp_path / "programs"
    home.mkdir()
    program(programs, "python3", f'exec {sys.executable} "$@"')
    program(programs, "ssh", f'echo "$@" >> {tmp_path}/asked\nfor last; do :; done\ncd {home} && exec sh -c "$last"')
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return home


def test_an_artifact_is_copied_once_and_measured_there(board: Path, tmp_path: Path, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact()
    report = edgekit.bench(artifact.path, on=HOST, duration_s=0.2, restarts=2, runtime="dryrun")
    assert report.results[0].subject.sha256 == artifact.sha256
    assert len(report.results[0].runs) == 2
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [HOST in line for line in asked] == [True] * 3
    assert sum("tar" in line for line in asked) == 1
    copied = board / PLACE / artifact.sha256
    assert {file.name for file in copied.iterdir()} == {file.name for file in artifact.path.iterdir()}


def test_the_conditions_are_those_of_the_board(board: Path, tmp_path: Path, make_artifact: MakeArtifact) -> None:
    speaking = "from edgekit.benchmark.conditions import environment as e; e.machine = lambda root: 'Another Board'"
    start = f"{speaking}; from edgekit.benchmark.process import worker; raise SystemExit(worker.main())"
    program(tmp_path / "programs", "python3", f'exec {sys.executable} -c "{start}"')
    report = edgekit.bench(make_artifact().path, on=HOST, duration_s=0.2, restarts=1, runtime="dryrun")
    assert report.environment.machine == "Another Board"


def test_an_artifact_that_was_tampered_with_on_the_board_is_refused(
    board: Path, tmp_path: Path, make_artifact: MakeArtifact
) -> None:
    program(tmp_path / "programs", "python3", f'for f in */manifest.json; do echo >> "$f"; done\nexec {sys.executable} "$@"')
    with pytest.raises(ArtifactError, match="is not what it was"):
        edgekit.bench(make_artifact().path, on=HOST, duration_s=0.2, restarts=1, runtime="dryrun")


@pytest.mark.parametrize(
    ("does", "said", "hint"),
    [
        ("echo 'Connection refused' >&2; exit 255", "Connection refused", "is it on, and is that its address"),
        ("echo 'Load key: bad' >&2; exit 255", "Load key", "does 'ssh pi@board.local true' work"),
        ('echo "python3: No module named edgekit" >&2; exit 1', "No module named", "python3 -m pip install edgekit"),
        ("echo 'sh: 1: exec: python3: not found' >&2; exit 127", "not found", "Python 3.10"),
    ],
)
def test_a_board_that_does_not_answer_is_a_device_error_with_what_to_try(
    board: Path, tmp_path: Path, make_artifact: MakeArtifact, does: str, said: str, hint: str
) -> None:
    program(tmp_path / "programs", "ssh", does)
    with pytest.raises(DeviceError, match=said) as caught:
        edgekit.bench(make_artifact().path, on=HOST, duration_s=0.2, restarts=1)
    assert hint in caught.value.hint
    assert HOST in caught.value.message


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=touch /tmp/x",
        "",
        "pi@board; reboot",
        "two words",
        "pi@-board",
        "pi@board:0",
        "pi@[board]:22",
        "pi@board:70000",
    ],
)
def test_what_ssh_would_take_for_something_else_is_no_host(host: str) -> None:
    with pytest.raises(UsageError, match="is no host"):
        on(host)


def test_ssh_asks_nobody_and_notices_a_link_that_is_dead() -> None:
    assert {"BatchMode=yes", "ServerAliveInterval=15", "ServerAliveCountMax=8"} <= set(ssh(HOST, "true"))


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("pi@board.local", ["--", "pi@board.local"]),
        ("board", ["--", "board"]),
        ("pi@board:2222", ["-p", "2222", "--", "pi@board"]),
        ("ssh://pi@board:2222", ["-p", "2222", "--", "pi@board"]),
        ("pi@10.0.0.7:2222", ["-p", "2222", "--", "pi@10.0.0.7"]),
        ("pi@[fe80::1%eth0]", ["--", "pi@fe80::1%eth0"]),
        ("pi@[2001:db8::1]:2222", ["-p", "2222", "--", "pi@2001:db8::1"]),
        ("2001:db8::1", ["--", "2001:db8::1"]),
    ],
)
def test_a_port_and_an_address_of_ipv6_reach_ssh_as_it_takes_them(host: str, words: list[str]) -> None:
    """Of itself ssh takes brackets for a part of the name."""
    made = ssh(host, "true")
    assert made[-1 - len(words) :] == [*words, "true"]


@pytest.mark.parametrize(
    ("python", "called"),
    [
        ("python3", "python3"),
        ("/opt/my env/bin/python", "'/opt/my env/bin/python'"),
        ("venv/bin/python", '"$HOME"/venv/bin/python'),
        ("$(reboot)", "'$(reboot)'"),
    ],
)
def test_a_python_is_a_name_or_a_path_from_home_and_never_a_command(python: str, called: str) -> None:
    assert interpreter(python) == called


def test_the_command_takes_the_board(board: Path, make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "bench",
        str(make_artifact().path),
        "--on",
        HOST,
        "--duration",
        "0.2",
        "--restarts",
        "1",
        "--runtime",
        "dryrun",
    ]
    assert main(arguments) == 0
    assert "matmul.host.fp32" in capsys.readouterr().out
