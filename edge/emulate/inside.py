"""What runs on the emulated board, and the same on this machine: import modules, run artifacts on recorded inputs, write the answers.

`python -m edgekit.emulate.inside` reads a job as JSON and says each step before it takes it: the last one it said is the one it died in.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from edgekit.core.schema import Value


class Work(Value, frozen=True, kw_only=True):
    """One artifact in one engine: the inputs' file, and where the answers go."""

    artifact: str
    runtime: str
    feeds: str
    answers: str


class Job(Value, frozen=True, kw_only=True):
    """Everything one process does."""

    modules: tuple[str, ...]
    work: tuple[Work, ...]


class Said(Value, frozen=True, kw_only=True):
    """A line of the answer: a step that begins, or with `done` one that ended, and what it found."""

    step: str
    done: bool = False
    version: str = ""
    error: str = ""
    peak_bytes: int = 0


Say = Callable[[Said], None]


def main() -> int:
    """Do a job. Engines write to stdout as they please, so the lines go to a copy of it."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(said: Said) -> None:
        lines.write(msgspec.json.encode(said).decode() + "\n")
        lines.flush()

    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    return 0 if all([*(_imported(name, say) for name in job.modules), *(_worked(work, say) for work in job.work)]) else 1


def _imported(name: str, say: Say) -> bool:
    def do() -> str:
        return str(getattr(import_module(name), "__version__", ""))

    return _step(f"import {name}", do, say)


def _worked(work: Work, say: Say) -> bool:
    return _step(f"run {Path(work.artifact).name} on {work.runtime}", lambda: _answers(work), say)


def _answers(work: Work) -> str:
    """Ask the artifact every recorded input; one thread, so that sums are added in one order."""
    import numpy as np

    from edgekit.loading import load
    from edgekit.parity import Golden, golden_bytes, read_golden

    feeds = read_golden(Path(work.feeds)).feeds
    with load(work.artifact, runtime=work.runtime, threads=1) as session:
        answers = tuple({name: np.asarray(value) for name, value in session.run(feed).items()} for feed in feeds)
    Path(work.answers).write_bytes(golden_bytes(Golden(feeds=feeds, answers=answers), limit=len(feeds)))
    return ""


def _step(step: str, do: Callable[[], Any], say: Say) -> bool:
    say(Said(step=step))
    try:
        version = do()
    except Exception as exc:  # whatever it is, it is the answer
        say(Said(step=step, done=True, error=f"{type(exc).__name__}: {exc}"))
        return False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    say(Said(step=step, done=True, version=version, peak_bytes=peak))
    return True


if __name__ == "__main__":
    raise SystemExit(main())
