"""A recording from end to end, as fast as the machine can: no frame is dropped, and all are understood in their order."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

from edgekit.apps.vision.analysis.ahead import Ahead
from edgekit.apps.vision.analysis.analyst import Analyst, Look
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.sources.base import Capture
from edgekit.core.progress import Event as Step
from edgekit.core.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackSummary:
    """One track from beginning to end."""

    track: int
    label: str
    start_s: float
    end_s: float
    looks: int
    score: float

    def as_json(self) -> dict[str, Any]:
        return {
            "track": self.track,
            "label": self.label,
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "looks": self.looks,
            "score": round(self.score, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a recording held. `people` holds (frame, people in it) where that number changed; frames are counted from 0."""

    events: tuple[Event, ...]
    tracks: tuple[TrackSummary, ...]
    people: tuple[tuple[int, int], ...]
    frames: int
    looks: int
    skipped: int
    seconds: float


def go_through(capture: Capture, analyst: Analyst, labels: tuple[str, ...], progress: Progress = silent) -> Recorded:
    """Look at the recording's frames at the camera's own rate of looking."""
    begun, gathered, ahead = perf_counter(), _Gathered(labels), Ahead(capture, analyst)
    for look in ahead.looks():
        gathered.add(look)
        progress(Step(stage="frames", done=look.frame.number + 1))
    for event in analyst.finish():
        gathered.event(event)
    return gathered.result(ahead.frames, perf_counter() - begun)


class _Gathered:
    """The result while it grows."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._events: dict[tuple[str, str, float, int | None], Event] = {}
        self._tracks: dict[int, TrackSummary] = {}
        self._people: list[tuple[int, int]] = []
        self._looks, self._skipped = 0, 0

    def event(self, event: Event) -> None:
        """The latest word on an event replaces the earlier ones."""
        self._events[(event.camera, event.rule, event.start_s, event.track)] = event

    def add(self, look: Look) -> None:
        self._looks, self._skipped = self._looks + 1, self._skipped + look.skipped
        for event in look.events:
            self.event(event)
        tracks = look.people.tracks
        shown = tracks.take(tracks.fresh)
        count = int((shown.class_ids == 0).sum())
        if not self._people or self._people[-1][1] != count:
            self._people.append((look.frame.number, count))
        for track, class_id, since, score in zip(shown.ids, shown.class_ids, shown.since_s, shown.scores, strict=True):
            before = self._tracks.get(int(track))
            self._tracks[int(track)] = TrackSummary(
                track=int(track),
                label=self._labels[int(class_id)],
                start_s=float(since),
                end_s=look.frame.time_s,
                looks=1 + (before.looks if before else 0),
                score=max(float(score), before.score if before else 0.0),
            )

    def result(self, frames: int, seconds: float) -> Recorded:
        return Recorded(
            events=tuple(sorted(self._events.values(), key=lambda event: (event.start_s, event.rule, event.track or 0))),
            tracks=tuple(self._tracks.values()),
            people=tuple(self._people),
            frames=frames,
            looks=self._looks,
            skipped=self._skipped,
            seconds=seconds,
        )
