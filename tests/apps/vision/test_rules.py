"""The rule language: what is read, what is refused and where, and what fires."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from edgekit.apps.vision.activities.sign import Sign
from edgekit.apps.vision.rules.engine import RuleEngine, Scene
from edgekit.apps.vision.rules.places import Line, LineWatch, Zone, ZoneWatch, inside
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.rules.schedule import Hours, awake
from edgekit.apps.vision.rules.settings import DEFAULT_RULES
from edgekit.apps.vision.tracking.tracks import Tracks
from edgekit.core.errors import InputError

SITE = """\
cameras:
  yard:
    source: synthetic:64x48
    detect: {fps: 5, min_score: 0.5}
    zones:
      door: {points: [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]], inertia: 2}
    lines:
      gate: {start: [0.5, 0.0], end: [0.5, 1.0], band: 0.02}
    rules:
      - {name: visitor, zone: door, dwell_s: 1, hysteresis_s: 0.5, cooldown_s: 5}
      - {name: crowd, count: 2}
      - {name: crossing, line: gate, direction: backward}
      - {name: fall, activity: fall_suspected, severity: high}
"""


def test_a_site_is_read() -> None:
    camera = parse_site(SITE, "site.yaml").cameras[0]
    assert (camera.name, camera.detect.fps, camera.zones["door"].inertia) == ("yard", 5, 2)
    assert [rule.name for rule in camera.rules] == ["visitor", "crowd", "crossing", "fall"]


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "said"),
    [
        ("zone: door", "zone: dor", 10, 25, "dor"),
        ("count: 2", "count: two", 11, 23, "int"),
        ("count: 2", "counts: 2", 11, 23, "counts"),
        ("fps: 5", "fps: 0", 4, 14, "fps|> 0"),
        ("[0.5, 1.0], [0.0", "[1.5, 1.0], [0.0", 6, 47, "1.5"),
        ("activity: fall_suspected", "activity: flying", 13, 22, "flying"),
        ("line: gate, ", "", 12, 26, "direction"),
        ("count: 2", "line: gate, activity: running", 11, 9, "line and activity"),
        ("source: synthetic:64x48", "source: exec:reboot", 3, 5, "exec:"),
        ("synthetic:64x48", "rtsp://u:hunter2@", 3, 5, "host"),
        ("  yard:", "  'y a':", 2, 3, "y a"),
        ("zones:", "zone:", 5, 5, "zone"),
    ],
)
def test_a_mistake_is_named_with_line_and_column(old: str, new: str, line: int, column: int, said: str) -> None:
    with pytest.raises(InputError, match=f"^site.yaml, line {line}, column {column}: ") as mistake:
        parse_site(SITE.replace(old, new, 1), "site.yaml")
    assert any(word in mistake.value.message for word in said.split("|"))
    assert "hunter2" not in mistake.value.message


@pytest.mark.parametrize(
    "text",
    ["", "a", "[]", "cameras: {}", "cameras: []", "cameras: {a: 1}", "cameras: {a: {}}", "x: 1", "cameras: {a: {source: 5}}"],
)
def test_what_is_no_site_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_site(text, "site.yaml")


def tracks(*people: tuple[int, float, float]) -> Tracks:
    """People by id, standing at shares (x, y) of a picture of 100 x 100."""
    count = len(people)
    corners = np.array([(100 * x - 5, 100 * y - 20, 100 * x + 5, 100 * y) for _, x, y in people]).reshape(-1, 4)
    return Tracks(
        ids=np.array([track for track, _, _ in people], np.int64),
        boxes=corners,
        scores=np.full(count, 0.8),
        class_ids=np.zeros(count, np.int64),
        since_s=np.zeros(count),
        seen_s=np.zeros(count),
        fresh=np.ones(count, np.bool_),
    )


class Play:
    """Plays scenes to the rules of `SITE` (with replacements), ten a second."""

    def __init__(self, *changes: tuple[str, str]) -> None:
        text = SITE
        for old, new in changes:
            text = text.replace(old, new)
        camera = parse_site(text, "site.yaml").cameras[0]
        self.engine, self.time_s = RuleEngine(camera, camera.rules, ("person",)), 0.0
        self.now = datetime(2026, 11, 26, 12)

    def scene(
        self, *people: tuple[int, float, float], signs: tuple[tuple[int, Sign], ...] = (), times: int = 1
    ) -> list[tuple[str, bool]]:
        """Rules whose events began (True) or ended (False)."""
        changed = []
        for _ in range(times):
            scene = Scene(tracks=tracks(*people), signs=signs, width=100, height=100, time_s=self.time_s, now=self.now)
            changed += [(event.rule, event.end_s is None) for event in self.engine.look(scene)]
            self.time_s += 0.1
        return changed


def test_a_visitor_is_one_event_after_the_dwell_and_ends_once_gone() -> None:
    play = Play()
    assert play.scene((1, 0.2, 0.5), times=11) == []
    assert play.scene((1, 0.2, 0.5), times=2) == [("visitor", True)]
    assert play.scene((1, 0.2, 0.5), times=20) == []
    assert play.scene(times=10) == [("visitor", False)]


def test_flicker_at_the_zones_edge_begins_and_ends_nothing() -> None:
    play = Play(("dwell_s: 1", "dwell_s: 0"))
    assert play.scene((1, 0.2, 0.5), times=3) == [("visitor", True)]
    for _ in range(20):
        changed = play.scene((1, 0.9, 0.5)) + play.scene((1, 0.2, 0.5))
        assert "visitor" not in [rule for rule, _ in changed]


def test_the_cooldown_keeps_a_rule_silent_for_the_same_track_only() -> None:
    play = Play(("dwell_s: 1", "dwell_s: 0"))
    play.scene((1, 0.2, 0.5), times=3)
    play.scene(times=10)
    assert play.scene((1, 0.2, 0.5), times=10) == []
    assert play.scene((2, 0.2, 0.5), times=3) == [("visitor", True)]


def test_a_crowd_is_one_event_whoever_is_in_it() -> None:
    play = Play(("name: visitor, zone: door", "name: visitor, class: dog"))
    assert play.scene((1, 0.8, 0.5)) == []
    assert play.scene((1, 0.8, 0.5), (2, 0.9, 0.5)) == [("crowd", True)]
    assert play.scene((1, 0.8, 0.5), (3, 0.9, 0.5), times=5) == []
    assert play.scene((1, 0.8, 0.5), times=15) == [("crowd", False)]


def test_a_line_counts_the_direction_asked_for_and_ignores_trembling_on_it() -> None:
    play = Play(("name: visitor, zone: door", "name: visitor, class: dog"))
    there = [play.scene((1, 0.3 + 0.05 * step, 0.5)) for step in range(9)]
    back = [play.scene((1, 0.7 - 0.05 * step, 0.5)) for step in range(9)]
    trembling = [play.scene((2, 0.5 + 0.01 * (-1) ** step, 0.5)) for step in range(20)]
    crossings = {"there": sum(map(len, there)), "back": sum(map(len, back)), "trembling": sum(map(len, trembling))}
    assert crossings in ({"there": 1, "back": 0, "trembling": 0}, {"there": 0, "back": 1, "trembling": 0})


def test_directions_are_as_the_line_says() -> None:
    watch = LineWatch(Line(start=(0.5, 0.0), end=(0.5, 1.0)))
    ids = np.array([1])
    assert watch.look(ids, np.array([[0.3, 0.5]]), 0.0) == []
    (crossing,) = watch.look(ids, np.array([[0.7, 0.5]]), 0.1)
    assert crossing.direction == "backward"  # looking down the picture from start to end, the right hand is at its left
    (crossing,) = watch.look(ids, np.array([[0.3, 0.5]]), 0.2)
    assert crossing.direction == "forward"


def test_who_walks_round_the_end_of_a_line_has_not_crossed_it() -> None:
    watch = LineWatch(Line(start=(0.5, 0.4), end=(0.5, 0.6)))
    ids = np.array([1])
    for x, y in ((0.3, 0.5), (0.3, 0.9), (0.7, 0.9), (0.7, 0.5)):
        assert watch.look(ids, np.array([[x, y]]), 0.0) == []


def test_zones_have_inertia() -> None:
    watch = ZoneWatch(Zone(points=((0, 0), (0.5, 0), (0.5, 1), (0, 1)), inertia=3))
    ids, there, away = np.array([7]), np.array([[0.2, 0.5]]), np.array([[0.9, 0.5]])
    assert [bool(watch.look(ids, point, 0.0)) for point in (there, there, there, away, away, away)] == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]
    assert watch.look(np.empty(0, np.int64), np.empty((0, 2)), 1.0) == {}


def test_a_concave_zone_has_its_hollow() -> None:
    bow = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.2), (0.0, 1.0))
    assert inside(np.array([[0.5, 0.1], [0.5, 0.6], [0.05, 0.5], [2.0, 0.5]]), bow).tolist() == [True, False, True, False]


def test_an_activity_is_an_event_with_its_numbers() -> None:
    play = Play()
    sign = Sign(activity="fall_suspected", score=0.9, since_s=0.0, evidence={"drop_bodies": 0.5})
    assert ("fall", True) in play.scene((1, 0.8, 0.5), signs=((1, sign),))
    assert ("fall", False) in play.scene((1, 0.8, 0.5), times=15)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-26T23:30", True),  # Thursday night
        ("2026-11-27T05:59", True),  # the same night, Friday morning
        ("2026-11-27T06:00", False),
        ("2026-11-27T23:30", False),  # Friday night is not asked for
        ("2026-11-26T21:59", False),
    ],
)
def test_hours_over_midnight_belong_to_the_day_they_begin(now: str, expected: bool) -> None:
    assert awake((Hours(start="22:00", end="06:00", days=("thu",)),), datetime.fromisoformat(now)) is expected


def test_a_rule_sleeps_outside_its_schedule() -> None:
    play = Play(("name: crowd, count: 2", 'name: crowd, count: 2, schedule: [{from: "22:00", to: "06:00"}]'))
    assert ("crowd", True) not in play.scene((1, 0.8, 0.5), (2, 0.9, 0.5), times=5)
    play.now = datetime(2026, 11, 26, 23)
    assert ("crowd", True) in play.scene((1, 0.8, 0.5), (2, 0.9, 0.5), times=5)


def test_falls_and_people_down_are_grave_without_any_settings() -> None:
    grave = {rule.activity for rule in DEFAULT_RULES if rule.severity == "high"}
    assert grave == {"fall_suspected", "person_down"}
