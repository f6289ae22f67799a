"""`edgekit bench --on` through a real ssh client and a real sshd on this machine's loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from boards import executable, free_port
from sshd import key, listening, skip_without_openssh

import edgekit
from edgekit.benchmark.process.remote import PLACE
from edgekit.core.errors import DeviceError
from edgekit.core.schema import Artifact

MakeArtifact = Callable[..., Artifact]
PYTHON = "venv/bin/python"
"""Boards refuse packages outside virtual environments (PEP 668), so edgekit lives in one."""


@dataclass(frozen=True)
class Board:
    """What ssh calls it, its user's home, and the key that opens it."""

    host: str
    home: Path
    key: Path


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    skip_without_openssh()
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home / "venv/bin", here):
        folder.mkdir(parents=True)
    opens, port = key(tmp_path / "user"), free_port()
    executable(home / "venv/bin/python", f'exec {sys.executable} "$@"')
    settings = {"ForceCommand": f'cd {home} && export HOME={home} && exec sh -c "$SSH_ORIGINAL_COMMAND"'}
    (tmp_path / "ssh_config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {opens}\n IdentitiesOnly yes\n"
        f" StrictHostKeyChecking no\n UserKnownHostsFile {tmp_path / 'known'}\n LogLevel ERROR\n"
    )
    executable(here / "ssh", f'exec {shutil.which("ssh")} -F {tmp_path / "ssh_config"} "$@"')
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    with listening(tmp_path, port, opens, key(tmp_path / "host"), settings):
        yield Board(host="board", home=home, key=opens)


def test_an_artifact_is_measured_over_a_real_connection(board: Board, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact()
    report = edgekit.bench(artifact.path, on=board.host, duration_s=0.2, restarts=2, runtime="dryrun", python=PYTHON)
    assert report.results[0].subject.sha256 == artifact.sha256
    assert len(report.results[0].runs) == 2
    assert {file.name for file in (board.home / PLACE / artifact.sha256).iterdir()} == {"manifest.json", "model.onnx"}


def test_a_board_that_does_not_know_the_key_is_a_device_error_with_what_to_try(
    board: Board, make_artifact: MakeArtifact
) -> None:
    Path(f"{board.key}.pub").write_text("")
    with pytest.raises(DeviceError, match="Permission denied") as caught:
        edgekit.bench(make_artifact().path, on=board.host, duration_s=0.2, restarts=1, python=PYTHON)
    assert "does 'ssh board true' work" in caught.value.hint
