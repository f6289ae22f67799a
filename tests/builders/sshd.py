"""A real sshd on this machine's loopback, for as long as a test runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def skip_without_openssh() -> None:
    if SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH server and client here")


@contextmanager
def listening(folder: Path, port: int, opens: Path, host_key: Path, more: Mapping[str, str]) -> Iterator[None]:
    """The server, which lets in whoever holds the key `opens`; `more` settings are the caller's."""
    assert SSHD is not None
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, started as root, insists on locking its unprivileged half in
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": str(port),
        "HostKey": str(host_key),
        "AuthorizedKeysFile": f"{opens}.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        **more,
    }
    also = "ListenAddress ::1\n" if socket.has_ipv6 else ""
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()) + also)
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
        try:
            _ensure_listening(daemon, port, folder / "log")
            yield
        finally:
            daemon.terminate()
            daemon.wait(20)


def _ensure_listening(daemon: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it answers; a daemon that ended says why."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert daemon.poll() is None, log.read_text()
        with socket.socket() as line:
            if line.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd does not listen: {log.read_text()}")
