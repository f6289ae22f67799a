"""What the pages say of events, states and rules, and what they draw."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

pytest.importorskip("nicegui")

from cameras import FigureFinder

from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.pages.events import asked_for
from edgekit.apps.vision.pages.words import clock, described, lasted, numbers, title
from edgekit.apps.vision.rules.places import Line, Zone
from edgekit.apps.vision.rules.settings import Camera, Detect, Rule
from edgekit.apps.vision.showing.explaining import heated
from edgekit.apps.vision.showing.overlay import jpeg, overlaid
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.web.shell import User, Visit

EVENT = Event(
    type="intrusion",
    rule="r",
    camera="yard",
    start_s=100.0,
    end_s=None,
    score=0.875,
    track=4,
    severity="high",
    evidence={"zone": "door", "dwell_s": 1.25},
)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "In door"),
        ({"type": "line_crossing", "evidence": {"line": "gate", "direction": "forward"}}, "Crossed gate forward"),
        ({"type": "count", "evidence": {"count": 3}}, "3 at once"),
        ({"type": "fall_suspected", "evidence": {}}, "Fall suspected"),
    ],
)
def test_an_event_is_called_what_happened(changed: dict[str, object], said: str) -> None:
    assert title(replace(EVENT, **changed)) == said  # type: ignore[arg-type]


def test_the_numbers_that_fired_have_their_units() -> None:
    assert numbers(EVENT) == [("score", "0.88"), ("zone", "door"), ("dwell", "1.25 s")]


@pytest.mark.parametrize(
    ("end_s", "begun_s", "said"),
    [
        (None, 50.0, "goes on"),
        (None, 200.0, "its end was not seen"),
        (100.0, 50.0, "a moment"),
        (103.25, 50.0, "3.2 s"),
        (225.0, 0.0, "2 min 5 s"),
    ],
)
def test_how_long_an_event_took(end_s: float | None, begun_s: float, said: str) -> None:
    assert lasted(replace(EVENT, end_s=end_s), begun_s=begun_s) == said


def test_the_day_is_said_when_it_is_not_today() -> None:
    noon = datetime(2026, 3, 4, 12, 0, 5)
    assert clock(noon.timestamp(), noon) == "12:00:05"
    assert clock(noon.timestamp(), datetime(2026, 3, 5)) == "04 Mar 2026, 12:00:05"


def test_a_rule_is_described_in_a_line() -> None:
    rule = Rule(name="r", label="car", line="gate", direction="forward", dwell_s=2, severity="low")
    assert described(rule) == "car · over gate, forward · for 2 s · low"
    assert described(Rule(name="r", activity="person_down")) == "person down · medium"


@pytest.mark.parametrize("address", ["event=1e9", "event=-1", f"event={'9' * 40}", "severity=<b>", "range=year"])
def test_what_is_no_filter_in_an_address_is_passed_over(address: str) -> None:
    name, _, value = address.partition("=")
    visit = Visit(user=User(name="vera", role="viewer"), query={name: value})
    found, event = asked_for(visit)
    assert (found.severity, found.range, event) == ("", "day", None)


def test_what_was_found_is_drawn_over_the_picture_at_any_size() -> None:
    zones = {"door": Zone(points=((0.5, 0.5), (0.9, 0.5), (0.9, 0.9)))}
    lines = {"gate": Line(start=(0.1, 0.1), end=(0.1, 0.9))}
    camera = Camera(name="yard", source=parse_address("synthetic:320x180"), detect=Detect(), zones=zones, lines=lines, rules=())
    capture, finder = open_source(camera.source), FigureFinder()
    analyst = Analyst(camera, finder)
    looks = [analyst.look(frame) for _ in range(4) if (frame := capture.read()) is not None]
    assert len(looks[-1].people.tracks) == 1
    plain = looks[-1].frame.rgb(160, 90)
    marked = overlaid(plain, looks[-1], camera, finder.labels)
    changed = (plain != marked).any(axis=2)
    assert marked.shape == plain.shape
    assert changed[50:55, 85:120].all()  # the zone
    assert changed[20:70, 16].any()  # the line
    assert jpeg(marked).startswith(b"\xff\xd8")


def test_heat_is_laid_where_it_is_and_nowhere_else() -> None:
    picture, heat = np.full((40, 60, 3), 100, np.uint8), np.zeros((20, 30), np.float32)
    heat[:, :10] = 1.0
    shown = heated(picture, heat)
    assert (shown[:, 40:] == picture[:, 40:]).all()
    red, green, blue = shown[20, 5].tolist()
    assert red > 180 > green
    assert blue < 60
