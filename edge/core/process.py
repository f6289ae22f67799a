"""The one door to external programs: a pure function builds the argument list, `run` runs it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from edgekit.core.errors import EdgekitError, MissingDependency


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a program said before it ended; `status` is its exit status, 0 unless others were allowed."""

    stdout: str
    stderr: str
    status: int = 0


def which(program: str) -> Path | None:
    """Where `program` is, or None."""
    found = shutil.which(program)
    return Path(found) if found else None


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    stdin: str | None = None,
    stdin_file: tuple[Path, int] | None = None,
    exits: Sequence[int] = (0,),
) -> Finished:
    """Run `argv` to its end, with `stdin` as its whole input, or a file from an offset on (nothing when neither is given).

    Ending with one of `exits` is no failure. Raises `MissingDependency` when the program is absent, `EdgekitError` when it cannot be started, fails or overruns. A program
    that overruns, or that this process is interrupted in, is ended together with whatever it started.
    """
    line = shlex.join(argv)
    with _input(stdin, stdin_file) as given, _started(argv, cwd, given) as program:
        try:
            stdout, stderr = program.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as exc:
            _end(program)
            raise EdgekitError(f"{argv[0]} was still running after {timeout_s:g} s", f"run it by hand: {line}") from exc
        except BaseException:
            _end(program)
            raise
    if program.returncode not in exits:
        last = last_line(Finished(stdout=stdout, stderr=stderr))
        raise EdgekitError(f"{argv[0]} {ending(program.returncode)}: {last}", f"run it by hand: {line}")
    return Finished(stdout=stdout, stderr=stderr, status=program.returncode)


def last_line(said: Finished) -> str:
    """The last thing a program said, which is mostly why it failed."""
    return (said.stderr.strip() or said.stdout.strip() or "it said nothing").splitlines()[-1]


@contextmanager
def _input(stdin: str | None, file: tuple[Path, int] | None) -> Iterator[int | IO[bytes]]:
    """What the program reads from. A file is its own: this process copies nothing of it."""
    if file is None:
        yield subprocess.DEVNULL if stdin is None else subprocess.PIPE
        return
    with file[0].open("rb", buffering=0) as source:
        source.seek(file[1])
        yield source


def _started(argv: Sequence[str], cwd: Path | None, stdin: int | IO[bytes]) -> subprocess.Popen[str]:
    """The program, running in a session of its own, so that it can be ended with its children."""
    if cwd is not None and not cwd.is_dir():
        raise EdgekitError(f"{argv[0]} cannot run in {str(cwd)!r}: there is no such folder")
    try:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise MissingDependency(f"the program {argv[0]!r} is not on this machine") from exc
    except OSError as exc:
        raise EdgekitError(
            f"{argv[0]} does not start: {exc.strerror or exc}", "is it built for this machine, and executable?"
        ) from exc


def _end(program: subprocess.Popen[str]) -> None:
    """Kill the program's session: itself, and children that may have outlived it and hold its output open."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
    program.kill()
    program.wait()


def bound(argv: Sequence[str]) -> list[str]:
    """`argv` for a program that Linux kills when the thread that starts it ends, be it by SIGKILL: nothing is left to run for nobody.

    Where `setpriv` is absent, or another one than util-linux's, these are the same arguments.
    """
    return [*(["setpriv", "--pdeathsig", "KILL"] if _knows_pdeathsig() else []), *argv]


@cache
def _knows_pdeathsig() -> bool:
    return which("setpriv") is not None and "--pdeathsig" in run(["setpriv", "--help"], timeout_s=30.0, exits=range(256)).stdout


def ending(status: int) -> str:
    """How a program ended: `ended with status 3`, or `was killed by SIGSEGV`."""
    if status >= 0:
        return f"ended with status {status}"
    known = {int(one): one.name for one in signal.Signals}
    return f"was killed by {known.get(-status, f'signal {-status}')}"
