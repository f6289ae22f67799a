"""Documents are read in a process of their own, with bounds on its memory and time: a document may not stop a server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import msgspec

from edgekit.apps.assistant.documents.limits import MEMORY_BYTES, READING_S
from edgekit.apps.assistant.documents.text import Text, storable
from edgekit.core.errors import EdgekitError, InputError, MissingDependency
from edgekit.core.process import ending
from edgekit.runtimes._children import Child, kill, pipe, started


class _Asked(msgspec.Struct, frozen=True):
    """Read the file at `path` by `documents/KIND.py`."""

    kind: str
    path: bytes
    seconds: float


class _Answer(msgspec.Struct, frozen=True):
    """The text, or why there is none."""

    text: Text | None = None
    error: str = ""
    hint: str = ""
    missing: bool = False


class Reader:
    """Reads one document after the other. Its process is started for the first one, and again when it died of one."""

    def __init__(self, seconds: float = READING_S) -> None:
        self._seconds = seconds
        self._process: Child | None = None
        self._answers: BinaryIO | None = None

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return self._process.pid if self._process is not None else None

    def read(self, path: Path, kind: str) -> Text:
        """What `documents/KIND.py` makes of the file. Raises what it raised, or `InputError` when its process died of the file."""
        line = self._asked(_Asked(kind=kind, path=os.fsencode(path), seconds=self._seconds))
        if not line.endswith(b"\n"):
            raise InputError(f"{path.name!r} could not be read: its reader {self._ended()}", "leave it out of the folder")
        answer = msgspec.json.decode(line, type=_Answer)
        if answer.text is not None:
            return answer.text
        raise (MissingDependency if answer.missing else InputError)(answer.error, answer.hint)

    def close(self) -> None:
        """End the process; closing again does nothing."""
        process, answers, self._process, self._answers = self._process, self._answers, None, None
        if process is not None and answers is not None:
            kill(process)
            for stream in (answers, pipe(process.stdin), pipe(process.stdout)):
                stream.close()

    def _asked(self, asked: _Asked) -> bytes:
        """The line that is answered; without its end where the process died."""
        if self._process is None or self._answers is None:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (a device)
                self._process = started(__name__, nowhere)
            self._answers = os.fdopen(os.dup(pipe(self._process.stdout).fileno()), "rb")
        with suppress(BrokenPipeError):  # one that is gone is seen while reading
            pipe(self._process.stdin).write(msgspec.json.encode(asked) + b"\n")
        return self._answers.readline()

    def _ended(self) -> str:
        """How the process ended, whose answer broke off."""
        assert self._process is not None  # it has just been asked
        status = self._process.wait()
        self.close()
        return f"took longer than {self._seconds:g} s" if status == -signal.SIGALRM else ending(status)


@contextmanager
def reading(seconds: float = READING_S) -> Iterator[Reader]:
    """A reader, whose process ends with the block."""
    reader = Reader(seconds)
    try:
        yield reader
    finally:
        reader.close()


def main() -> None:
    """In the other process: answer until nobody asks any more. The system ends it when a document takes too long."""
    _limit_memory()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        for line in sys.stdin.buffer:
            asked = msgspec.json.decode(line, type=_Asked)
            signal.setitimer(signal.ITIMER_REAL, asked.seconds)
            said = msgspec.json.encode(_answered(Path(os.fsdecode(asked.path)), asked.kind))
            signal.setitimer(signal.ITIMER_REAL, 0)
            answers.write(said + b"\n")
            answers.flush()


def _answered(path: Path, kind: str) -> _Answer:
    try:
        return _Answer(text=import_module(f"edgekit.apps.assistant.documents.{kind}").read(path))
    except EdgekitError as exc:
        return _complaint(exc.message, exc.hint, missing=isinstance(exc, MissingDependency))
    except MemoryError:
        return _complaint(f"{path.name!r} needs more memory than {MEMORY_BYTES:,} bytes to be read", "split it")
    except Exception as exc:  # a parser may stumble in any way: that is told on the other side
        said = " ".join(f"{type(exc).__name__}: {exc}".split())
        return _complaint(f"{path.name!r} could not be read: {said[:300]}", "leave it out of the folder")


def _complaint(message: str, hint: str, *, missing: bool = False) -> _Answer:
    return _Answer(error=storable(message), hint=storable(hint), missing=missing)


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # systems without such limits read without them
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
