"""Measure on a board over the system's ssh: the artifact is copied there once, and every run is a fresh process there.

Nothing is configured here: addresses, keys and ports are those of ssh. The board needs edgekit, the engine, and a shell.
"""

from __future__ import annotations

import base64
import io
import tarfile
from shlex import quote

from msgspec.structs import replace

from edgekit.artifact import MANIFEST, read
from edgekit.benchmark.process.launch import answered, timeout_s
from edgekit.benchmark.process.order import Done, Launch, Order, encode
from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.core.process import last_line, run
from edgekit.core.ssh import FAILED, hint, ssh

PYTHON = "python3"
PLACE = ".cache/edgekit/bench"
"""On the board, under the home of the user that ssh logs in as."""
_COPY_TIMEOUT_S = 600.0


def on(host: str, python: str = PYTHON) -> Launch:
    """Measures on `host`, with the Python there that has edgekit. Raises `UsageError` for what is no host."""
    ssh(host, "")
    program = interpreter(python)
    copied: dict[str, str] = {}

    def launch(order: Order) -> Done:
        """Run the order there. Raises the worker's own `EdgekitError`, and `DeviceError` when the board did not answer."""
        if order.artifact not in copied:
            copied[order.artifact] = _copy(host, order.artifact)
        moved = replace(order, artifact=copied[order.artifact])
        # Not from the home folder: `python -m` would import whatever modules lie there before the real ones.
        command = f"cd {PLACE} && exec {program} -m edgekit.benchmark.process.worker"
        return answered(lambda: _say(host, command, encode(moved), timeout_s(order)), order)

    return launch


def interpreter(python: str) -> str:
    """How a shell on the board calls that Python: a path is seen from the user's home, a bare name is looked up."""
    return f'"$HOME"/{quote(python)}' if "/" in python and not python.startswith("/") else quote(python)


def _copy(host: str, path: str) -> str:
    """Copy an artifact's files under its hash; returns the folder's name there."""
    artifact = read(path)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name in (MANIFEST, *(file.name for file in artifact.manifest.files)):
            tar.add(artifact.path / name, arcname=f"{artifact.sha256}/{name}", recursive=False)
    command = f"mkdir -p {PLACE} && cd {PLACE} && base64 -d | tar -xzf -"
    _say(host, command, base64.b64encode(packed.getvalue()).decode(), _COPY_TIMEOUT_S)
    return artifact.sha256


def _say(host: str, command: str, stdin: str, timeout: float) -> str:
    """What a command on the board prints, with a hint that fits what went wrong."""
    try:
        done = run(ssh(host, command), timeout_s=timeout, stdin=stdin, exits=(0, FAILED))
    except EdgekitError as error:
        hints = [advice for sign, advice in _HINTS.items() if sign in error.message]
        raise DeviceError(f"{host}: {error.message}", hints[0].format(host=host) if hints else error.hint) from error
    if done.status == FAILED:
        raise DeviceError(f"{host}: {last_line(done)}", hint(host, done.stderr))
    return done.stdout


_HINTS = {
    "No module named": "--python venv/bin/python, where that one has edgekit; or: ssh {host} python3 -m pip install edgekit",
    "python3: not found": "install Python 3.10 or newer on the board",
}
