"""Rules at work: each frame's people in, events out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edgekit.apps.vision.activities import loitering
from edgekit.apps.vision.activities.sign import Sign
from edgekit.apps.vision.events import Event, EventKeeper, Holds, Timing
from edgekit.apps.vision.rules.places import Crossing, LineWatch, ZoneWatch, feet
from edgekit.apps.vision.rules.schedule import awake
from edgekit.apps.vision.rules.settings import Camera, Rule
from edgekit.apps.vision.tracking.people import PERSON
from edgekit.apps.vision.tracking.tracks import Tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What rules look at: one frame's tracks, the activities that hold, and both clocks."""

    tracks: Tracks
    signs: tuple[tuple[int, Sign], ...]
    width: int
    height: int
    time_s: float
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What several rules share of one scene: who there is (track, class, score), who is in which zone since when, who crossed what, and
    how they walk."""

    shown: tuple[tuple[int, int, float], ...]
    present: Mapping[str, Mapping[int, float]]
    crossings: Mapping[str, list[Crossing]]
    strolls: Mapping[int, float]


class RuleEngine:
    """The rules of one camera; `labels` name the detector's classes."""

    def __init__(self, camera: Camera, rules: tuple[Rule, ...], labels: tuple[str, ...]) -> None:
        self._rules = rules
        self._classes = {rule.label: _classes(rule.label, labels) for rule in rules}
        self._zones = {name: ZoneWatch(zone) for name, zone in camera.zones.items()}
        self._lines = {name: LineWatch(line) for name, line in camera.lines.items()}
        self._keepers = [EventKeeper(_timing(rule, camera.name)) for rule in rules]
        self._paths: dict[int, loitering.PathKeeper] = {}
        self._strolls: dict[int, float] = {}
        self.asks_for_activities = any(rule.activity for rule in rules)

    def look(self, scene: Scene) -> list[Event]:
        """Events that began or ended with this frame."""
        facts = self._facts(scene)
        changed: list[Event] = []
        for rule, keeper in zip(self._rules, self._keepers, strict=True):
            holding = self._holding(rule, scene, facts) if awake(rule.schedule, scene.now) else []
            changed += keeper.look(holding, scene.time_s)
        return changed

    def finish(self, time_s: float) -> list[Event]:
        """The events that were still open, ended."""
        return [event for keeper in self._keepers for event in keeper.finish(time_s)]

    def _facts(self, scene: Scene) -> _Facts:
        tracks, points = scene.tracks, feet(scene.tracks.boxes, scene.width, scene.height)
        everywhere = {int(track): float(since) for track, since in zip(tracks.ids, tracks.since_s, strict=True)}
        zones = {name: watch.look(tracks.ids, points, scene.time_s) for name, watch in self._zones.items()}
        self._stroll(scene)
        return _Facts(
            shown=tuple(zip(tracks.ids.tolist(), tracks.class_ids.tolist(), tracks.scores.tolist(), strict=True)),
            present={"": everywhere, **zones},
            crossings={name: watch.look(tracks.ids, points, scene.time_s) for name, watch in self._lines.items()},
            strolls=self._strolls,
        )

    def _stroll(self, scene: Scene) -> None:
        """Keep everybody's path, once a second, and its loitering score; only where a rule asks for it."""
        if not any(rule.loitering is not None for rule in self._rules):
            return
        ids = set(map(int, scene.tracks.ids))
        self._paths = {track: keeper for track, keeper in self._paths.items() if track in ids}
        self._strolls = {track: score for track, score in self._strolls.items() if track in ids}
        for track, box, fresh in zip(map(int, scene.tracks.ids), scene.tracks.boxes, scene.tracks.fresh, strict=True):
            keeper = self._paths.setdefault(track, loitering.PathKeeper())
            x, y = (box[0] + box[2]) / 2 / scene.width, box[3] / scene.width
            if fresh and keeper.add(float(x), float(y), scene.time_s):
                self._strolls[track] = loitering.score(keeper.path)

    def _holding(self, rule: Rule, scene: Scene, facts: _Facts) -> list[Holds]:
        wanted = self._wanted(rule, facts)
        if rule.line:
            return [
                _crossed(rule, crossing, wanted) for crossing in facts.crossings[rule.line] if _fits(rule, crossing, wanted)
            ]
        since = {
            track: start
            for track, start in facts.present[rule.zone].items()
            if track in wanted and scene.time_s - start >= rule.dwell_s - 1e-6
        }
        if rule.activity:
            return [
                _does(sign, track)
                for track, sign in scene.signs
                if track in since and sign.activity == rule.activity and sign.score >= rule.min_score
            ]
        if rule.loitering is not None:
            return [_loiters(track, facts.strolls.get(track, 0.0), since[track], scene.time_s) for track in since
                    if facts.strolls.get(track, 0.0) >= rule.loitering]  # fmt: skip
        return self._presence(rule, since, wanted, scene.time_s)

    def _presence(self, rule: Rule, since: Mapping[int, float], wanted: Mapping[int, float], time_s: float) -> list[Holds]:
        """Somebody is there: an event each; or several at once: one event for the scene."""
        kind = "intrusion" if rule.zone else "presence"
        if rule.count == 1:
            return [
                Holds(type=kind, track=track, score=wanted[track], since_s=start, evidence=_dwell(rule, start, time_s))
                for track, start in since.items()
            ]
        if len(since) < rule.count:
            return []
        evidence = {"count": len(since), "needed": rule.count}
        return [Holds(type="count", track=None, score=min(wanted[one] for one in since), since_s=time_s, evidence=evidence)]

    def _wanted(self, rule: Rule, facts: _Facts) -> dict[int, float]:
        """Tracks of the rule's class and their scores."""
        classes = self._classes[rule.label]
        return {
            track: score
            for track, class_id, score in facts.shown
            if class_id in classes and (score >= rule.min_score or rule.activity)
        }


def _classes(label: str, labels: tuple[str, ...]) -> frozenset[int]:
    """The detector's classes of that name; people are its first where it names none."""
    found = frozenset(index for index, name in enumerate(labels) if name == label)
    return found or frozenset({PERSON} if label == "person" else ())


def _timing(rule: Rule, camera: str) -> Timing:
    return Timing(
        rule=rule.name,
        camera=camera,
        severity=rule.severity,
        hysteresis_s=rule.hysteresis_s,
        cooldown_s=rule.cooldown_s,
    )


def _fits(rule: Rule, crossing: Crossing, wanted: Mapping[int, float]) -> bool:
    return crossing.track in wanted and rule.direction in ("any", crossing.direction)


def _crossed(rule: Rule, crossing: Crossing, wanted: Mapping[int, float]) -> Holds:
    return Holds(
        type="line_crossing",
        track=crossing.track,
        score=wanted[crossing.track],
        since_s=crossing.time_s,
        evidence={"line": rule.line, "direction": crossing.direction},
        momentary=True,
    )


def _does(sign: Sign, track: int) -> Holds:
    return Holds(type=sign.activity, track=track, score=sign.score, since_s=sign.since_s, evidence=sign.evidence)


def _loiters(track: int, score: float, start_s: float, time_s: float) -> Holds:
    evidence = {"dwell_s": round(time_s - start_s, 2), "path_score": round(score, 3)}
    return Holds(type="loitering", track=track, score=score, since_s=start_s, evidence=evidence)


def _dwell(rule: Rule, start_s: float, time_s: float) -> dict[str, float | str]:
    return {**({"zone": rule.zone} if rule.zone else {}), "dwell_s": round(time_s - start_s, 2)}
