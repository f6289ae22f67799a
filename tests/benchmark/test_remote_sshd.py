"""`edgekit bench --on` through a real ssh client and a real sshd on this machine's loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import edgekit
from edgekit.benchmark.remote import PLACE
from edgekit.core.errors import DeviceError
from edgekit.core.schema import Artifact

MakeArtifact = Callable[..., Artifact]
PYTHON = "venv/bin/python"
"""Boards refuse packages outside virtual environments (PEP 668), so edgekit lives in one."""
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class Board:
    """What ssh calls it, its user's home, and the key that opens it."""

    host: str
    home: Path
    key: Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def executable(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    if SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH server and client here")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, started as root, insists on locking its unprivileged half in
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home / "venv/bin", here):
        folder.mkdir(parents=True)
    opens, port = key(tmp_path / "user"), free_port()
    executable(home / "venv/bin/python", f'exec {sys.executable} "$@"')
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": str(port),
        "HostKey": str(key(tmp_path / "host")),
        "AuthorizedKeysFile": f"{opens}.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "ForceCommand": f'cd {home} && export HOME={home} && exec sh -c "$SSH_ORIGINAL_COMMAND"',
    }
    (tmp_path / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    (tmp_path / "ssh_config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {opens}\n IdentitiesOnly yes\n"
        f" StrictHostKeyChecking no\n UserKnownHostsFile {tmp_path / 'known'}\n LogLevel ERROR\n"
    )
    executable(here / "ssh", f'exec {shutil.which("ssh")} -F {tmp_path / "ssh_config"} "$@"')
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=log)
        try:
            ensure_listening(daemon, port, tmp_path / "log")
            yield Board(host="board", home=home, key=opens)
        finally:
            daemon.terminate()
            daemon.wait(20)


def ensure_listening(daemon: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it answers; a daemon that ended says why."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert daemon.poll() is None, log.read_text()
        with socket.socket() as line:
            if line.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"sshd does not listen: {log.read_text()}")


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
