"""What deploying costs: everything, nothing (the release runs already), and one file that changed. Over ssh to an sshd on this machine.

    python benchmarks/deploy.py

The board is a folder here with edgekit's own board side and the digits app; only systemd is a stand-in (the tests' own), so the time
is that of ssh, of two Pythons and of the app, on this machine's processor. A board's is slower; the bytes are the same.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from common import ROOT, conditions, write

from edgekit import artifact as artifacts
from edgekit.core.schema import Artifact
from edgekit.deploy.board.units import units
from edgekit.deploy.nouns import Health, Release
from edgekit.deploy.push import Board, Outcome, deploy_to, proposal_of
from edgekit.models import digits

STAND_IN = ROOT / "tests/builders/systemctl.sh"
TIMES = 5


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="edgekit-deploy-") as scratch:
        folder = Path(scratch)
        board, port = made_board(folder), _free_port()
        with reachable(folder, board):
            found = {
                "everything": timed(board, changed(folder, "one", None), port),
                "one_file": timed(board, changed(folder, "one", "two"), port),
                "nothing": _median([timed(board, artifacts.read(folder / "two"), port) for _ in range(TIMES)]),
            }
        subprocess.run([folder / "bin/systemctl", "stop", "edgekit-app.service"], check=True)
    write("deploy", {"conditions": conditions(), "unchanged_runs": TIMES, **found})


def made_board(folder: Path) -> Board:
    """A board as a flash leaves it, but for its app: a folder with a Python that has edgekit, and a systemd that is a stand-in."""
    root, services, programs = (folder / part for part in ("edgekit", "services", "bin"))
    for each in (root / "venv/bin", services, programs):
        each.mkdir(parents=True)
    _program(root / "venv/bin/python", f'exec {sys.executable} "$@"')
    _program(programs / "systemctl", f'exec sh {STAND_IN} {services} "$@"')
    for name, text in units(root).items():
        (services / name).write_text(text)
    return Board(host="board", root=root)


def changed(folder: Path, name: str, to: str | None) -> Artifact:
    """The artifact `name`, or a copy of it called `to` in which one file, the recorded answers', is another."""
    if to is None:
        shipped = next(path for path in digits.artifacts() if path.name.endswith("int8"))
        return artifacts.read(Path(shutil.copytree(shipped, folder / name)))
    place = Path(shutil.copytree(folder / name, folder / to))
    golden = place / "golden.npz"
    golden.write_bytes(golden.read_bytes() + b"\0")  # a zip with a byte behind its end is the same zip
    manifest = artifacts.read(folder / name).manifest
    files = artifacts.described(
        {file.name: place / file.name for file in manifest.files}, {f.name: f.role for f in manifest.files}
    )
    (place / artifacts.MANIFEST).write_bytes(artifacts.encode(msgspec.structs.replace(manifest, files=files)))
    return artifacts.read(place)


def timed(board: Board, artifact: Artifact, port: int) -> dict[str, float]:
    """One deployment: seconds, and the bytes of payload that were sent."""
    health = Health(url=f"http://127.0.0.1:{port}/health", settle_s=0.5, deadline_s=60)
    release = Release(app="digits", artifact=artifact.sha256, arguments=("--port", str(port)), health=health)
    began = time.perf_counter()
    outcome: Outcome = deploy_to(board, artifact, proposal_of(artifact, release), any_board=True)
    took_s = time.perf_counter() - began
    assert outcome.ok, outcome
    return {"seconds": round(took_s, 2), "sent_bytes": outcome.sent_bytes}


@contextmanager
def reachable(folder: Path, board: Board) -> Iterator[None]:
    """An sshd through which `ssh board` reaches it, by its key and with its programs."""
    user, host, port = folder / "user", folder / "host", _free_port()
    for key in (user, host):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shell = folder / "shell"
    _program(shell, f'export PATH="{folder / "bin"}:$PATH" HOME="{folder}"; exec sh -c "$SSH_ORIGINAL_COMMAND"')
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host.with_suffix('.pub').read_text()}")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {host}\nAuthorizedKeysFile {user}.pub\nPidFile none\nStrictModes no\n"
        f"UsePAM no\nPasswordAuthentication no\nForceCommand {shell}\n"
    )
    (folder / "ssh_config").write_text(
        f"Host {board.host}\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {user}\n"
        f" IdentitiesOnly yes\n StrictHostKeyChecking yes\n UserKnownHostsFile {folder / 'known'}\n LogLevel ERROR\n"
    )
    _program(folder / "bin/ssh", f'exec {shutil.which("ssh")} -F {folder / "ssh_config"} "$@"')
    os.environ["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or sys.exit("sshd is not here")
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([sshd, "-D", "-f", folder / "sshd_config"]) as daemon:
        try:
            _wait_for(port)
            yield
        finally:
            daemon.terminate()


def _median(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def _program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main()
