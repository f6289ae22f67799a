"""The whole of `edgekit flash`: write, read back, give the board its settings and its app, read those back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.progress import Progress, silent
from edgekit.flash.customise import customise
from edgekit.flash.image import opened
from edgekit.flash.plan import Plan
from edgekit.flash.target import Medium, new_file, open_drive
from edgekit.flash.write import Written, leaving, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Flashed:
    """What was done: bytes and hashes of the image, the files that were added, and the time each stage took."""

    target: Path
    written: Written
    added: tuple[str, ...]
    first_boot: str
    seconds: Mapping[str, float]


def flash(plan: Plan, *, progress: Progress = silent) -> Flashed:
    """Carry out a plan that was `checked`. Raises `EdgekitError`s that say what state the card is in."""
    with _medium(plan) as medium:
        return onto(medium, plan, progress=progress)


def onto(medium: Medium, plan: Plan, *, progress: Progress = silent) -> Flashed:
    """The same onto a medium that is open."""
    clock = _Clock()
    with opened(plan.image) as stream:
        limit = plan.drive.bytes if plan.drive else 1 << 40
        written = write(stream, medium, limit_bytes=limit, expected=plan.expected, bmap=plan.bmap, progress=progress)
    clock.lap("write")
    with leaving(f"{medium.path} holds the image, which boots, but not all of its settings and app: flash it again", medium):
        added = customise(plan, medium.path, settle=medium.flush, progress=progress) if plan.customises else ()
        clock.lap("settings")
        medium.flush()
    return Flashed(target=plan.target, written=written, added=added, first_boot=plan.first_boot, seconds=dict(clock.laps))


@contextmanager
def _medium(plan: Plan) -> Iterator[Medium]:
    if plan.drive is not None:
        with open_drive(plan.drive) as medium:
            yield medium
    else:
        with new_file(plan.target, replace=plan.replace) as medium:
            yield medium


class _Clock:
    """Seconds since the last lap, by name."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 3)
        self._last = now
