"""A Python process beside this one that is asked and answers line by line, and is never waited for longer than agreed."""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import tempfile
import time
import weakref
from contextlib import suppress
from typing import IO

import msgspec

from edgekit.core import errors
from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.core.process import ending
from edgekit.runtimes._children import KILLED_S, kill, pipe, started
from edgekit.runtimes._isolated_child import Order, Reply
from edgekit.runtimes._shared_tensors import anonymous_file

CHILD = "edgekit.runtimes._isolated_child"
GOODBYE_S = 2.0
MOST_SAID_BYTES = 1 << 20
NOISE = ("INFO:",)
"""What engines print when all is well: LiteRT says which delegate it made."""


class Lost(DeviceError):
    """The process crashed or overran and is gone."""


class ChildProcess:
    """`ask` and `close`. `memory` is a descriptor of shared memory that the child has under the same number."""

    def __init__(self, engine: str, advice: str) -> None:
        self._engine = engine
        self._advice = advice
        self.memory = anonymous_file()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        fcntl.fcntl(self._said, fcntl.F_SETFL, os.O_APPEND)
        self._process = started(CHILD, self._said, descriptors=(self.memory,))
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe(self._process.stdout), selectors.EVENT_READ)
        self.killer = weakref.finalize(self, kill, self._process)

    def ask(self, request: Order | bytes, doing: str, seconds: float) -> Reply:
        """The answer to one request. Raises the child's own `EdgekitError`, or `Lost` when there is no answer in time."""
        line = request if isinstance(request, bytes) else msgspec.json.encode(request) + b"\n"
        with suppress(BrokenPipeError):
            # A child that is gone is seen while reading: its end of the pipe is closed.
            pipe(self._process.stdin).write(line)
        reply = msgspec.json.decode(self._line(doing, seconds), type=Reply)
        if reply.error:
            raise _error(self._engine, reply)
        if os.fstat(self._said.fileno()).st_size > MOST_SAID_BYTES:
            self._said.truncate(0)
        return reply

    def close(self) -> None:
        """Let the child end by itself, for a moment."""
        pipe(self._process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GOODBYE_S)
        self.end()

    def end(self) -> None:
        """Kill the child if it still is, and give back what it used; again does nothing."""
        self.killer()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            pipe(stream).close()
        if self.memory >= 0:
            os.close(self.memory)
            self.memory = -1

    def _line(self, doing: str, seconds: float) -> bytes:
        """The next line of the child."""
        data, deadline = b"", time.monotonic() + seconds
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise self._lost(f"{doing} was not done after {seconds:g} s, and its process was ended")
            more = os.read(pipe(self._process.stdout).fileno(), 1 << 16)
            if not more:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(KILLED_S)
                status = self._process.poll()
                how = "closed its pipe" if status is None else ending(status)
                raise self._lost(f"its process {how} while {doing}")
            data += more
        return data

    def _lost(self, why: str) -> Lost:
        """The error to raise, with the last thing the driver said; the process is ended."""
        last = _last_line(self._said)
        self.end()
        return Lost(f"{self._engine}: {why}" + (f" ({last})" if last else ""), self._advice)


def _last_line(said: IO[bytes]) -> str:
    """The last line that is no noise; the last 4 KiB are looked at."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4096))
    lines = (line.strip() for line in said.read().decode(errors="replace").splitlines())
    return next((line for line in reversed([*lines]) if line and not line.startswith(NOISE)), "")


def _error(engine: str, reply: Reply) -> EdgekitError:
    """The child's error as one of this process."""
    kind = getattr(errors, reply.error, None)
    known = isinstance(kind, type) and issubclass(kind, EdgekitError)
    message = reply.message if reply.message.startswith(engine) else f"{engine}: {reply.message}"
    return kind(message, reply.hint) if known and kind is not None else DeviceError(message, reply.hint)
