"""A child process with an engine in it: started, asked, told to stop, and ended; its last words are kept."""

from __future__ import annotations

import fcntl
import os
import re
import selectors
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import msgspec

from edgekit.core.process import ending
from edgekit.runtimes._children import KILLED_S, kill, pipe, started
from edgekit.runtimes.language._wire import Answer, Call, encode
from edgekit.runtimes.text import EngineLost

CHILD = "edgekit.runtimes.language._child"
GOODBYE_S = 2.0
MOST_SAID_BYTES = 4 << 20
TAIL_BYTES = 16384
ENVIRONMENT = {"GGML_NO_BACKTRACE": "1", "MALLOC_ARENA_MAX": "2"}
"""An engine that aborts must not start a debugger; and every arena would take 64 MiB of the address space that is limited."""
_TELLING = re.compile(
    r"error|fail|invalid|missing|not found|unknown|cannot|unable|mismatch|not within|exception|abort", re.IGNORECASE
)
_ERROR = re.compile(r"^[\d.]+ E ")
"""A line that the engine itself marks as an error."""
_HARMLESS = re.compile(r"build_info|system_info|unknown type|unused tensor")
_PREFIX = re.compile(r"^([\d.]+ [A-Z] )?(\S+: )?(?=error loading)|^[\d.]+ [A-Z] ")


class Process:
    """`ask` and `cancel`, from one thread at a time; `end` from any."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        fcntl.fcntl(self._said, fcntl.F_SETFL, os.O_APPEND)
        self._process = started(CHILD, self._said, environment={**os.environ, **ENVIRONMENT})
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe(self._process.stdout), selectors.EVENT_READ)
        self.killer = weakref.finalize(self, kill, self._process)
        self._read = b""
        self._number = 0

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    def send(self, call: Call) -> int:
        """Send a call; its number."""
        self._number += 1
        self._write(msgspec.structs.replace(call, number=self._number))
        if os.fstat(self._said.fileno()).st_size > MOST_SAID_BYTES:
            self._said.truncate(0)
        return self._number

    def cancel(self) -> None:
        """Tell the child to stop what it does."""
        self._write(Call(name="cancel", number=self._number))

    def answers(self, number: int, look_s: float) -> Iterator[Answer | None]:
        """The answers to that call until its last one; None whenever `look_s` passed without any. Raises `EngineLost`."""
        while True:
            line = self._line(look_s)
            if line is None:
                yield None
                continue
            answer = msgspec.json.decode(line, type=Answer)
            if answer.number == number:
                yield answer
                if answer.last:
                    return

    def close(self) -> None:
        """Let the child end by itself, for a moment."""
        self.finish()
        self.end()

    def finish(self) -> None:
        """Nothing more is asked: the child ends by itself, for a moment, and all that it had to say is then in its log."""
        with suppress(OSError):
            pipe(self._process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GOODBYE_S)

    def end(self) -> None:
        """Kill the child if it still is; again does nothing."""
        self.killer()
        if not self._said.closed:
            self._selector.close()
            for stream in (self._process.stdin, self._process.stdout, self._said):
                with suppress(OSError):
                    pipe(stream).close()

    def last_words(self) -> str:
        """The line of the engine's log that says what was wrong, else its last line."""
        if self._said.closed:
            return ""
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = [line.strip() for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        marked = [line for line in lines if _ERROR.match(line)]
        plain = [line for line in lines if "error loading model" in line]
        telling = marked or plain or [line for line in lines if _TELLING.search(line) and not _HARMLESS.search(line)]
        # The first complaint is the cause; those after it are of those who depended on it.
        found = telling[0] if telling else lines[-1] if lines else ""
        return _PREFIX.sub("", found)[:300]

    def _write(self, call: Call) -> None:
        with suppress(BrokenPipeError):  # a child that is gone is seen while reading
            pipe(self._process.stdin).write(encode(call))

    def _line(self, look_s: float) -> bytes | None:
        """The next line; None after `look_s` without one."""
        until = time.monotonic() + look_s
        while b"\n" not in self._read:
            left = until - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                return None
            more = os.read(pipe(self._process.stdout).fileno(), 1 << 16)
            if not more:
                raise self._lost()
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _lost(self) -> EngineLost:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILLED_S)
        status = self._process.poll()
        how = "closed its pipe" if status is None else ending(status)
        last = self.last_words()
        hint = "edgekit doctor"
        if status is not None and -status == 4:
            hint = "the engine was built for another processor: install it again here, or try another engine"
        self.end()
        return EngineLost(f"{self._engine}: its process {how}" + (f" ({last})" if last else ""), hint)
