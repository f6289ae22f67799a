"""How a Python process beside this one is started and ended, for engines that must not take this one with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from edgekit.core.errors import DeviceError

KILLED_S = 5.0


class Child(subprocess.Popen[bytes]):
    """A process with a folder of its own for temporary files: what it leaves there goes with it, however it ends."""

    scratch: Path


def started(
    module: str, said: IO[bytes], *, descriptors: tuple[int, ...] = (), environment: Mapping[str, str] | None = None
) -> Child:
    """A process that runs `module`'s `main`, asked and answering over pipes; what it says besides goes to `said`.

    It imports what this process would, wherever that was started, and never runs the user's own script again. It has a session of
    its own: Ctrl-C on a terminal is for this process, which then ends the child with `kill`. Raises `DeviceError`.
    """
    scratch = Path(tempfile.mkdtemp(prefix="edgekit-"))
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    try:
        child = Child(
            [sys.executable, "-I", "-c", code, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            bufsize=0,
            pass_fds=descriptors,
            start_new_session=True,
            env={**(os.environ if environment is None else environment), "TMPDIR": str(scratch)},
        )
    except OSError as exc:
        scratch.rmdir()
        raise DeviceError(f"no process could be started with {sys.executable!r}: {exc.strerror or exc}") from exc
    child.scratch = scratch
    return child


def kill(child: Child) -> None:
    """End the process. One that a driver holds inside the kernel cannot be ended; it is left there, not waited for."""
    child.kill()
    with suppress(subprocess.TimeoutExpired):
        child.wait(KILLED_S)
    shutil.rmtree(child.scratch, ignore_errors=True)


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """A stream of a child that `started` has made."""
    assert stream is not None  # every stream of the child was asked for as a pipe
    return stream
