"""How a Python process beside this one is started and ended, for engines that must not take this one with them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from edgekit.core.errors import DeviceError

KILLED_S = 5.0


def started(
    module: str, said: IO[bytes], *, descriptors: tuple[int, ...] = (), environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A process that runs `module`'s `main`, asked and answering over pipes; what it says besides goes to `said`.

    It imports what this process would, wherever that was started, and never runs the user's own script again. It has a session of
    its own: Ctrl-C on a terminal is for this process, which then ends the child. Raises `DeviceError`.
    """
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", code, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            bufsize=0,
            pass_fds=descriptors,
            start_new_session=True,
            env=environment,
        )
    except OSError as exc:
        raise DeviceError(f"no process could be started with {sys.executable!r}: {exc.strerror or exc}") from exc


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process. One that a driver holds inside the kernel cannot be ended; it is left there, not waited for."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(KILLED_S)


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """A stream of a child that `started` has made."""
    assert stream is not None  # every stream of the child was asked for as a pipe
    return stream
