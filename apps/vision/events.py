"""Events: something that began, lasts, and ended, with its score and the numbers behind it; made out of conditions that flicker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Severity = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. `end_s` is None while it lasts; `track` is None for what belongs to nobody (a count); `score` is the best."""

    type: str
    rule: str
    camera: str
    start_s: float
    end_s: float | None
    score: float
    track: int | None
    severity: str
    evidence: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The keys that others count on, and ours after them."""
        return {
            "type": self.type,
            "camera": self.camera,
            "start_s": round(self.start_s, 3),
            "end_s": None if self.end_s is None else round(self.end_s, 3),
            "score": round(float(self.score), 3),
            "track": self.track,
            "evidence": dict(self.evidence),
            "rule": self.rule,
            "severity": self.severity,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """A rule's condition holds now, for a track or for the scene. `momentary` ones (a crossing) are over at once."""

    type: str
    track: int | None
    score: float
    since_s: float
    evidence: Mapping[str, Any]
    momentary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What of a rule decides when its events begin and end."""

    rule: str
    camera: str
    severity: str
    hysteresis_s: float
    cooldown_s: float


class EventKeeper:
    """The events of one rule. Open ones are at most as many as there are tracks."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._open: dict[int | None, Event] = {}
        self._held_s: dict[int | None, float] = {}
        self._quiet_until_s: dict[int | None, float] = {}

    def look(self, holding: Iterable[Holds], time_s: float) -> list[Event]:
        """Events that began (`end_s` None) or ended at this time."""
        changed: list[Event] = []
        for each in holding:
            changed += self._held(each, time_s)
        changed += [event for key in list(self._open) if (event := self._lapsed(key, time_s)) is not None]
        self._quiet_until_s = {key: until for key, until in self._quiet_until_s.items() if until > time_s}
        return changed

    def finish(self, time_s: float) -> list[Event]:
        """End what is open: the source is at its end."""
        return [self._closed(key, max(self._held_s[key], self._open[key].start_s)) for key in list(self._open)]

    def _held(self, each: Holds, time_s: float) -> list[Event]:
        if each.track in self._open:
            event = self._open[each.track]
            better = each.score > event.score
            kept = replace(event, score=each.score, evidence=each.evidence) if better else event
            self._open[each.track], self._held_s[each.track] = kept, time_s
            return []
        if self._quiet_until_s.get(each.track, time_s) > time_s:
            return []
        event = self._begun(each)
        if each.momentary:
            self._quiet_until_s[each.track] = time_s + self._timing.cooldown_s
            return [replace(event, end_s=event.start_s)]
        self._open[each.track], self._held_s[each.track] = event, time_s
        return [event]

    def _begun(self, each: Holds) -> Event:
        return Event(
            type=each.type,
            rule=self._timing.rule,
            camera=self._timing.camera,
            start_s=each.since_s,
            end_s=None,
            score=each.score,
            track=each.track,
            severity=self._timing.severity,
            evidence=each.evidence,
        )

    def _lapsed(self, key: int | None, time_s: float) -> Event | None:
        """The event, ended, when its condition has not held for the hysteresis."""
        held = self._held_s[key]
        if 0 <= time_s - held <= self._timing.hysteresis_s:
            return None
        return self._closed(key, held)

    def _closed(self, key: int | None, end_s: float) -> Event:
        event = replace(self._open.pop(key), end_s=end_s)
        del self._held_s[key]
        self._quiet_until_s[key] = end_s + self._timing.hysteresis_s + self._timing.cooldown_s
        return event
