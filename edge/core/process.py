"""The one door to external programs: a pure function builds the argument list, `run` runs it."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.errors import EdgekitError, MissingDependency


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a program said before it ended with exit status 0."""

    stdout: str
    stderr: str


def which(program: str) -> Path | None:
    """Where `program` is, or None."""
    found = shutil.which(program)
    return Path(found) if found else None


def run(argv: Sequence[str], *, timeout_s: float, cwd: Path | None = None, stdin: str | None = None) -> Finished:
    """Run `argv` to its end, with `stdin` as its whole input when given.

    Raises `MissingDependency` when the program is absent, `EdgekitError` when it fails or overruns.
    """
    line = shlex.join(argv)
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout_s, cwd=cwd, check=False
        )
    except FileNotFoundError as exc:
        raise MissingDependency(f"the program {argv[0]!r} is not on this machine") from exc
    except subprocess.TimeoutExpired as exc:
        raise EdgekitError(f"{argv[0]} was still running after {timeout_s:g} s", f"run it by hand: {line}") from exc
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise EdgekitError(f"{argv[0]} {_ending(done.returncode)}: {last}", f"run it by hand: {line}")
    return Finished(stdout=done.stdout, stderr=done.stderr)


def _ending(status: int) -> str:
    """How a program ended: `ended with status 3`, or `was killed by SIGSEGV`."""
    if status >= 0:
        return f"ended with status {status}"
    known = {int(one): one.name for one in signal.Signals}
    return f"was killed by {known.get(-status, f'signal {-status}')}"
