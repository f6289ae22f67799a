"""What a camera did over the last minutes: the time of its stages and its rates, noted every second, for plots."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.apps.vision.stages import Stages

KEPT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What happened up to `at_s` (seconds since 1970) since the note before: the mean milliseconds of each stage that ran, how many
    frames a second the source gave, and how many of them were looked at."""

    at_s: float
    stages_ms: Mapping[str, float]
    source_fps: float
    looks_fps: float


class History:
    """The notes of the last minutes, oldest first; `note` is called by one thread, about once a second."""

    def __init__(self, stages: Stages, *, kept: int = KEPT_S) -> None:
        self._stages, self._notes = stages, deque[Noted](maxlen=kept)
        self._runs: Mapping[str, int] = {}
        self._before: tuple[float, int, int] | None = None

    @property
    def notes(self) -> tuple[Noted, ...]:
        return tuple(self._notes)

    def note(self, at_s: float, captured: int, looks: int) -> None:
        """`captured` and `looks` are counts from the beginning on. The first call only begins the counting, and after a clock that
        went back it begins anew."""
        took, self._runs = self._stages.since(self._runs)
        before, self._before = self._before, (at_s, captured, looks)
        if before is None or at_s <= before[0]:
            self._notes.clear()
            return
        passed_s = at_s - before[0]
        self._notes.append(
            Noted(
                at_s=at_s,
                stages_ms=took,
                source_fps=(captured - before[1]) / passed_s,
                looks_fps=(looks - before[2]) / passed_s,
            )
        )
