"""The same app on this machine, with the same artifact: what it says is what the emulated board is to say."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgekit.core import process
from edgekit.core.errors import EdgekitError
from edgekit.emulate.machine import free_ports
from edgekit.emulate.proofs import Proof
from edgekit.emulate.served import Served

STARTS_S = 120.0
HEALTH = "/health"
_USER = "board-proof"


def expected(app: str, artifact: Path, proof: Proof) -> str:
    """What this machine says. Raises `EdgekitError` when the app does not run here."""
    with tempfile.TemporaryDirectory(prefix="edgekit-here-") as scratch:
        folder = Path(scratch)
        words = ("--artifact", str(artifact.resolve()), *proof.arguments)
        with _running(app, words, folder) as served:
            return proof.ask(served, _token(folder))


@contextmanager
def _running(app: str, words: Sequence[str], folder: Path) -> Iterator[Served]:
    (port,) = free_ports(1)
    command = process.bound(_edgekit(folder, "run", app, *words, "--host", "127.0.0.1", "--port", str(port)))
    log = folder / "log"
    with (
        log.open("wb") as said,
        subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as app_here,
    ):
        try:
            yield _answering(Served(f"http://127.0.0.1:{port}"), app_here, log)
        finally:
            app_here.kill()


def _answering(served: Served, app_here: subprocess.Popen[bytes], log: Path) -> Served:
    end = time.monotonic() + STARTS_S
    while not served.answers(HEALTH):
        if app_here.poll() is not None or time.monotonic() > end:
            last = (log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
            raise EdgekitError(f"the app does not serve on this machine: {last}", "edgekit doctor")
        time.sleep(0.1)
    return served


def _token(folder: Path) -> str:
    for words in (("add", _USER, "--role", "admin"), ("token", _USER)):
        said = process.run(_edgekit(folder, "users", *words, "--json"), timeout_s=STARTS_S).stdout
    return str(msgspec.json.decode(said)["token"])


def _edgekit(home: Path, *words: str) -> list[str]:
    """The command, with a home that nobody else's users, conversations and recordings are in."""
    elsewhere = (word for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME") for word in ("-u", name))
    return ["env", *elsewhere, f"HOME={home}", sys.executable, "-m", "edgekit", *words]
