"""Falls in two steps: suspected when the shoulders came down and the body lies for half a second; a person down when it still lies
long after. Getting up in between takes the second back.

Everything is measured in the person's own body length, so that near and far, child and adult, large and small pictures are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan

from edgekit.apps.vision.activities.sign import Sign, margin
from edgekit.apps.vision.poses.postures import History, Posture, share

FALL, DOWN = "fall_suspected", "person_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class FallSettings:
    """Thresholds of both steps, each in the middle between what falling and what bending, sitting down and squatting gives."""

    hold_s: float = 0.8
    """The body must lie this long ..."""
    hold_share: float = 0.75
    """... in this share of the looks."""
    ratio: float = 0.95
    """A box at least this wide by high may be a lying body ..."""
    flat: float = 0.42
    """... and so may one that is no higher than this share of the body's length."""
    upright_tilt: float = 35.0
    upright_torso: float = 0.18
    """A torso that leans less than this and still measures this share of the body sits or squats: lying, it is seen end on."""
    shoulder_drop: float = 0.25
    """Body lengths by which the shoulders came down, and the hips: who bends keeps the hips up."""
    hip_drop: float = 0.15
    blind_drop: float = 0.4
    """Where the hips are not seen the shoulders must have come down this much."""
    within_s: float = 2.5
    """All that at most this long before the body lay: who lies down slowly does not fall."""
    down_s: float = 10.0
    """A person who lies this long after a fall is down."""
    risen: float = 0.5
    """Share of the drop that the shoulders must have come up again to count as recovered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """A fall that has begun: when, from which height of the shoulders, to which, of a body how long."""

    since_s: float
    from_y: float
    to_y: float
    body: float
    upright_s: float | None = None


class FallRule:
    """One person's fall. `look` after every posture added to the history."""

    def __init__(self, settings: FallSettings | None = None) -> None:
        self._settings = settings or FallSettings()
        self.fallen: Fallen | None = None

    def look(self, history: History) -> list[Sign]:
        """The signs that hold now: a fall from its suspicion until the person is up again, a person down after long."""
        now = history.last(0)[-1]
        if self.fallen is None:
            sign = self._suspected(history)
            return [] if sign is None else [sign]
        if self._recovered(now):
            self.fallen = None
            return []
        return self._still(now)

    def lies(self, one: Posture, body: float) -> bool:
        """Whether the box is that of somebody lying, and no upright torso speaks against it."""
        wanted = self._settings
        sits = one.tilt < wanted.upright_tilt and one.torso >= wanted.upright_torso * body
        return (one.ratio >= wanted.ratio or one.height <= wanted.flat * body) and not sits

    def _suspected(self, history: History) -> Sign | None:
        wanted, looks = self._settings, history.last(self._settings.hold_s)
        body = history.body()
        if not history.covers(wanted.hold_s) or len(looks) < 3 or not self.lies(looks[-1], body):
            return None
        before = history.last(wanted.hold_s + wanted.within_s)
        drop, hips = (_drop(before, looks, name) / body for name in ("shoulder_y", "hip_y"))
        sank = drop >= wanted.shoulder_drop and hips >= wanted.hip_drop if hips == hips else drop >= wanted.blind_drop
        if not sank or share(self.lies(one, body) for one in looks) < wanted.hold_share:
            return None
        low = _median(one.shoulder_y for one in looks)
        self.fallen = Fallen(since_s=looks[0].time_s, from_y=low - drop * body, to_y=low, body=body)
        return self._sign(FALL, looks[-1], drop)

    def _sign(self, activity: str, now: Posture, drop: float) -> Sign:
        assert self.fallen is not None
        wanted, body = self._settings, self.fallen.body
        flat = margin(1 - now.height / body, 1 - wanted.flat, 1 - wanted.flat / 2)
        score = (
            margin(drop, wanted.shoulder_drop, 2 * wanted.shoulder_drop) + max(flat, margin(now.ratio, wanted.ratio, 2))
        ) / 2
        evidence = {
            "drop_bodies": drop,
            "height_bodies": now.height / body,
            "width_by_height": now.ratio,
            "tilt_degrees": now.tilt,
            "pose_score": now.score,
            "lying_s": now.time_s - self.fallen.since_s,
        }
        kept = {name: round(float(value), 3) for name, value in evidence.items() if value == value}
        return Sign(activity=activity, score=round(float(score), 3), since_s=self.fallen.since_s, evidence=kept)

    def _still(self, now: Posture) -> list[Sign]:
        assert self.fallen is not None
        drop = (now.shoulder_y - self.fallen.from_y) / self.fallen.body
        signs = [self._sign(FALL, now, drop)]
        if now.time_s - self.fallen.since_s >= self._settings.down_s and self.fallen.upright_s is None:
            signs.append(self._sign(DOWN, now, drop))
        return signs

    def _recovered(self, now: Posture) -> bool:
        """Up again for a second: the shoulders well above where they lay and the body upright."""
        assert self.fallen is not None
        fell = self.fallen
        risen = (fell.to_y - now.shoulder_y) >= self._settings.risen * (fell.to_y - fell.from_y)
        upright = risen and not self.lies(now, fell.body)
        begun = (fell.upright_s if fell.upright_s is not None else now.time_s) if upright else None
        self.fallen = Fallen(since_s=fell.since_s, from_y=fell.from_y, to_y=fell.to_y, body=fell.body, upright_s=begun)
        return begun is not None and now.time_s - begun >= 1.0


def _drop(before: Sequence[Posture], looks: Sequence[Posture], name: str) -> float:
    """By how many pixels a height has come down: from its highest before to its median now; NaN where it is not seen."""
    heights = [getattr(one, name) for one in before if getattr(one, name) == getattr(one, name)]
    return _median(getattr(one, name) for one in looks) - min(heights) if heights else nan


def _median(values: Iterable[float]) -> float:
    """The middle one of those that are numbers; NaN of none."""
    found = sorted(value for value in values if value == value)
    return found[len(found) // 2] if found else nan
